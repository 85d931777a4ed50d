;; The demo's handler, by hand: what ../go-stats/main.go describes, byte for byte the same in the store, the replies and
;; the alerts. Numbers are thousandths in i64. A refusal by the host traps, with a note: the message then counts as failed.
(module
  (import "rmds_v1" "msg_get" (func $msg_get (param $key i32) (param $key_len i32) (param $buf i32) (param $cap i32) (result i32)))
  (import "rmds_v1" "cfg_get" (func $cfg_get (param $key i32) (param $key_len i32) (param $buf i32) (param $cap i32) (result i32)))
  (import "rmds_v1" "kv_get" (func $kv_get (param $key i32) (param $key_len i32) (param $buf i32) (param $cap i32) (result i32)))
  (import "rmds_v1" "kv_set" (func $kv_set (param $key i32) (param $key_len i32) (param $val i32) (param $val_len i32) (result i32)))
  (import "rmds_v1" "reply" (func $reply (param $ptr i32) (param $len i32) (result i32)))
  (import "rmds_v1" "send" (func $send (param $channel i32) (param $channel_len i32) (param $ptr i32) (param $len i32) (result i32)))
  (import "rmds_v1" "note" (func $note (param $key i32) (param $key_len i32) (param $val i32) (param $val_len i32) (result i32)))

  ;; Memory: constants from 0, then one buffer each for the content, the metric's key, a number, the window and the output.
  (memory (export "memory") 1 1)
  (data (i32.const 0) "content")
  (data (i32.const 16) "alert-percent")
  (data (i32.const 32) "{\"n\":")
  (data (i32.const 48) ",\"metric\":\"")
  (data (i32.const 64) "\",\"value\":")
  (data (i32.const 80) ",\"mean\":")
  (data (i32.const 96) "{\"mean\":")
  (data (i32.const 112) ",\"samples\":")
  (data (i32.const 128) "count")
  (data (i32.const 144) "last")
  (data (i32.const 160) "out_of_order")
  (data (i32.const 176) "duplicates")
  (data (i32.const 192) "seen/")
  (data (i32.const 208) "window/")
  (data (i32.const 224) "mean/")
  (data (i32.const 240) "alerts")
  (data (i32.const 256) "reason")
  (data (i32.const 272) "malformed reading")
  (data (i32.const 304) "the host refused a call")
  (data (i32.const 336) "the store holds something else under one of this handler's keys")
  (data (i32.const 400) "alert-percent: use a whole number from 0 to 9999")
  (global $content i32 (i32.const 1024)) ;; 256 bytes
  (global $key i32 (i32.const 1280))     ;; 71 at most: window/ and a metric
  (global $number i32 (i32.const 1408))  ;; 20 at most
  (global $window i32 (i32.const 1536))  ;; 128
  (global $output i32 (i32.const 2048))  ;; 256 at most

  ;; ---- failing

  (func $fail (param $reason i32) (param $len i32)
    (drop (call $note (i32.const 256) (i32.const 6) (local.get $reason) (local.get $len)))
    (unreachable))

  ;; A negative answer of the host where it has to agree.
  (func $must (param $answer i32)
    (if (i32.lt_s (local.get $answer) (i32.const 0))
      (then (call $fail (i32.const 304) (i32.const 23)))))

  (func $corrupt
    (call $fail (i32.const 336) (i32.const 63)))

  ;; ---- parsing: from $pos to $end; $bad is set at the first mismatch and stays

  (global $pos (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))
  (global $bad (mut i32) (i32.const 0))

  (func $parse (param $ptr i32) (param $len i32)
    (global.set $pos (local.get $ptr))
    (global.set $end (i32.add (local.get $ptr) (local.get $len)))
    (global.set $bad (i32.const 0)))

  (func $mismatch_if (param $condition i32)
    (global.set $bad (i32.or (global.get $bad) (local.get $condition))))

  ;; The next byte, or 0 at the end: no part of a reading is a zero byte.
  (func $peek (result i32)
    (if (result i32) (i32.lt_u (global.get $pos) (global.get $end))
      (then (i32.load8_u (global.get $pos)))
      (else (i32.const 0))))

  (func $advance
    (global.set $pos (i32.add (global.get $pos) (i32.const 1))))

  ;; Whether the next byte is $byte, which is then consumed.
  (func $accept (param $byte i32) (result i32)
    (if (i32.ne (call $peek) (local.get $byte))
      (then (return (i32.const 0))))
    (call $advance)
    (i32.const 1))

  (func $literal (param $ptr i32) (param $len i32)
    (loop $next
      (if (local.get $len)
        (then
          (call $mismatch_if (i32.eqz (call $accept (i32.load8_u (local.get $ptr)))))
          (local.set $ptr (i32.add (local.get $ptr) (i32.const 1)))
          (local.set $len (i32.sub (local.get $len) (i32.const 1)))
          (br_if $next (i32.eqz (global.get $bad)))))))

  (func $is_digit (param $byte i32) (result i32)
    (i32.lt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 10)))

  ;; Letters, digits, '_' and '-' './'.
  (func $is_metric_byte (param $byte i32) (result i32)
    (i32.or
      (i32.or
        (i32.lt_u (i32.sub (local.get $byte) (i32.const 45)) (i32.const 13)) ;; - . / 0..9
        (i32.eq (local.get $byte) (i32.const 95)))
      (i32.lt_u (i32.sub (i32.or (local.get $byte) (i32.const 32)) (i32.const 97)) (i32.const 26))))

  ;; An integer without leading zeros, of 1 to $max digits.
  (func $integer (param $max i32) (result i64)
    (local $n i64) (local $start i32) (local $len i32)
    (local.set $start (global.get $pos))
    (loop $next
      (if (call $is_digit (call $peek))
        (then
          (local.set $n (i64.add
            (i64.mul (local.get $n) (i64.const 10))
            (i64.extend_i32_u (i32.sub (call $peek) (i32.const 48)))))
          (call $advance)
          (br $next))))
    (local.set $len (i32.sub (global.get $pos) (local.get $start)))
    (call $mismatch_if (i32.eqz (local.get $len)))
    (call $mismatch_if (i32.gt_u (local.get $len) (local.get $max)))
    (call $mismatch_if (i32.and
      (i32.gt_u (local.get $len) (i32.const 1))
      (i32.eq (i32.load8_u (local.get $start)) (i32.const 48))))
    (local.get $n))

  ;; The length of the metric's name, 1 to 64, which is consumed.
  (func $metric (result i32)
    (local $start i32) (local $len i32)
    (local.set $start (global.get $pos))
    (loop $next
      (if (call $is_metric_byte (call $peek))
        (then (call $advance) (br $next))))
    (local.set $len (i32.sub (global.get $pos) (local.get $start)))
    (call $mismatch_if (i32.eqz (local.get $len)))
    (call $mismatch_if (i32.gt_u (local.get $len) (i32.const 64)))
    (local.get $len))

  ;; A JSON number without exponent in thousandths, halves rounded away from zero.
  (func $milli (result i64)
    (local $negative i32) (local $m i64) (local $unit i64) (local $start i32)
    (local.set $negative (call $accept (i32.const 45)))
    (local.set $m (i64.mul (call $integer (i32.const 9)) (i64.const 1000)))
    (if (call $accept (i32.const 46))
      (then
        (local.set $start (global.get $pos))
        (local.set $unit (i64.const 100))
        (loop $next
          (if (call $is_digit (call $peek))
            (then
              (local.set $m (i64.add (local.get $m)
                (i64.mul (local.get $unit) (i64.extend_i32_u (i32.sub (call $peek) (i32.const 48))))))
              (if (i32.eq (i32.sub (global.get $pos) (local.get $start)) (i32.const 3)) ;; the digit that rounds
                (then (local.set $m (i64.add (local.get $m) (i64.extend_i32_u (i32.ge_u (call $peek) (i32.const 53)))))))
              (local.set $unit (i64.div_u (local.get $unit) (i64.const 10)))
              (call $advance)
              (br $next))))
        (call $mismatch_if (i32.eq (global.get $pos) (local.get $start)))))
    (if (result i64) (local.get $negative)
      (then (i64.sub (i64.const 0) (local.get $m)))
      (else (local.get $m))))

  ;; ---- writing: at $out, which moves on

  (global $out (mut i32) (i32.const 0))

  (func $put (param $ptr i32) (param $len i32)
    (memory.copy (global.get $out) (local.get $ptr) (local.get $len))
    (global.set $out (i32.add (global.get $out) (local.get $len))))

  (func $put_byte (param $byte i32)
    (i32.store8 (global.get $out) (local.get $byte))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))

  (func $put_digit (param $n i64)
    (call $put_byte (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10))))))

  ;; $n as decimal; it is never negative.
  (func $put_integer (param $n i64)
    (if (i64.ge_u (local.get $n) (i64.const 10))
      (then (call $put_integer (i64.div_u (local.get $n) (i64.const 10)))))
    (call $put_digit (local.get $n)))

  ;; Thousandths as decimal with three digits of fraction.
  (func $put_milli (param $m i64)
    (if (i64.lt_s (local.get $m) (i64.const 0))
      (then
        (call $put_byte (i32.const 45))
        (local.set $m (call $abs (local.get $m)))))
    (call $put_integer (i64.div_u (local.get $m) (i64.const 1000)))
    (call $put_byte (i32.const 46))
    (call $put_digit (i64.div_u (local.get $m) (i64.const 100)))
    (call $put_digit (i64.div_u (local.get $m) (i64.const 10)))
    (call $put_digit (local.get $m)))

  (func $abs (param $m i64) (result i64)
    (select (i64.sub (i64.const 0) (local.get $m)) (local.get $m) (i64.lt_s (local.get $m) (i64.const 0))))

  ;; ---- numbers in the store

  ;; The number under the key, 0 if there is none.
  (func $number_get (param $key i32) (param $key_len i32) (result i64)
    (local $len i32) (local $n i64)
    (local.set $len (call $kv_get (local.get $key) (local.get $key_len) (global.get $number) (i32.const 20)))
    (if (i32.eq (local.get $len) (i32.const -1))
      (then (return (i64.const 0))))
    (call $must (local.get $len))
    (if (i32.gt_u (local.get $len) (i32.const 18))
      (then (call $corrupt)))
    (call $parse (global.get $number) (local.get $len))
    (local.set $n (call $integer (i32.const 18)))
    (if (i32.or (global.get $bad) (i32.ne (global.get $pos) (global.get $end)))
      (then (call $corrupt)))
    (local.get $n))

  (func $number_set (param $key i32) (param $key_len i32) (param $n i64)
    (global.set $out (global.get $number))
    (call $put_integer (local.get $n))
    (call $must (call $kv_set (local.get $key) (local.get $key_len)
      (global.get $number) (i32.sub (global.get $out) (global.get $number)))))

  (func $increment (param $key i32) (param $key_len i32) (result i64)
    (local $n i64)
    (local.set $n (i64.add (call $number_get (local.get $key) (local.get $key_len)) (i64.const 1)))
    (call $number_set (local.get $key) (local.get $key_len) (local.get $n))
    (local.get $n))

  ;; ---- the books

  ;; count, last, out_of_order, seen/<n> and duplicates.
  (func $count_reading (param $n i64)
    (local $seen_len i32)
    (drop (call $increment (i32.const 128) (i32.const 5)))
    (if (i64.le_u (local.get $n) (call $number_get (i32.const 144) (i32.const 4)))
      (then (drop (call $increment (i32.const 160) (i32.const 12)))))
    (call $number_set (i32.const 144) (i32.const 4) (local.get $n))
    (global.set $out (global.get $key))
    (call $put (i32.const 192) (i32.const 5))
    (call $put_integer (local.get $n))
    (local.set $seen_len (i32.sub (global.get $out) (global.get $key)))
    (if (i64.gt_u (call $increment (global.get $key) (local.get $seen_len)) (i64.const 1))
      (then (drop (call $increment (i32.const 176) (i32.const 10))))))

  ;; Writes prefix and metric at $key and returns the key's length.
  (func $metric_key (param $prefix i32) (param $prefix_len i32) (param $metric i32) (param $metric_len i32) (result i32)
    (global.set $out (global.get $key))
    (call $put (local.get $prefix) (local.get $prefix_len))
    (call $put (local.get $metric) (local.get $metric_len))
    (i32.sub (global.get $out) (global.get $key)))

  ;; Adds the value to the metric's window and stores that; returns the window's length in bytes.
  (func $window_add (param $metric i32) (param $metric_len i32) (param $value i64) (result i32)
    (local $key_len i32) (local $len i32)
    (local.set $key_len (call $metric_key (i32.const 208) (i32.const 7) (local.get $metric) (local.get $metric_len)))
    (local.set $len (call $kv_get (global.get $key) (local.get $key_len) (global.get $window) (i32.const 128)))
    (if (i32.eq (local.get $len) (i32.const -1))
      (then (local.set $len (i32.const 0))))
    (call $must (local.get $len))
    (if (i32.or
          (i32.gt_u (local.get $len) (i32.const 128))
          (i32.and (local.get $len) (i32.const 7)))
      (then (call $corrupt)))
    (if (i32.eq (local.get $len) (i32.const 128))
      (then
        (local.set $len (i32.const 120))
        (memory.copy (global.get $window) (i32.add (global.get $window) (i32.const 8)) (i32.const 120))))
    (i64.store (i32.add (global.get $window) (local.get $len)) (local.get $value))
    (local.set $len (i32.add (local.get $len) (i32.const 8)))
    (call $must (call $kv_set (global.get $key) (local.get $key_len) (global.get $window) (local.get $len)))
    (local.get $len))

  ;; The mean of the window's first $len bytes, halves rounded away from zero.
  (func $window_mean (param $len i32) (result i64)
    (local $sum i64) (local $samples i64) (local $size i64)
    (local.set $samples (i64.extend_i32_u (i32.shr_u (local.get $len) (i32.const 3))))
    (loop $next
      (local.set $len (i32.sub (local.get $len) (i32.const 8)))
      (local.set $sum (i64.add (local.get $sum) (i64.load (i32.add (global.get $window) (local.get $len)))))
      (br_if $next (local.get $len)))
    (local.set $size (i64.div_u
      (i64.add (i64.shl (call $abs (local.get $sum)) (i64.const 1)) (local.get $samples))
      (i64.shl (local.get $samples) (i64.const 1))))
    (select (i64.sub (i64.const 0) (local.get $size)) (local.get $size) (i64.lt_s (local.get $sum) (i64.const 0))))

  ;; mean/<metric> = {"mean":0.420,"samples":16}
  (func $store_mean (param $metric i32) (param $metric_len i32) (param $mean i64) (param $samples i32)
    (local $key_len i32)
    (local.set $key_len (call $metric_key (i32.const 224) (i32.const 5) (local.get $metric) (local.get $metric_len)))
    (global.set $out (global.get $output))
    (call $put (i32.const 96) (i32.const 8))
    (call $put_milli (local.get $mean))
    (call $put (i32.const 112) (i32.const 11))
    (call $put_integer (i64.extend_i32_u (local.get $samples)))
    (call $put_byte (i32.const 125))
    (call $must (call $kv_set (global.get $key) (local.get $key_len)
      (global.get $output) (i32.sub (global.get $out) (global.get $output)))))

  (func $send_reply (param $n i64) (param $mean i64)
    (global.set $out (global.get $output))
    (call $put_integer (local.get $n))
    (call $put_byte (i32.const 32))
    (call $put_milli (local.get $mean))
    (call $must (call $reply (global.get $output) (i32.sub (global.get $out) (global.get $output)))))

  (func $send_alert (param $n i64) (param $metric i32) (param $metric_len i32) (param $value i64) (param $mean i64)
    (global.set $out (global.get $output))
    (call $put (i32.const 32) (i32.const 5))
    (call $put_integer (local.get $n))
    (call $put (i32.const 48) (i32.const 11))
    (call $put (local.get $metric) (local.get $metric_len))
    (call $put (i32.const 64) (i32.const 10))
    (call $put_milli (local.get $value))
    (call $put (i32.const 80) (i32.const 8))
    (call $put_milli (local.get $mean))
    (call $put_byte (i32.const 125))
    (call $must (call $send (i32.const 240) (i32.const 6)
      (global.get $output) (i32.sub (global.get $out) (global.get $output)))))

  ;; Whether the value is more than the given percent of the mean's size above the mean.
  (func $above (param $value i64) (param $mean i64) (param $percent i64) (result i32)
    (i64.gt_s
      (i64.mul (i64.sub (local.get $value) (local.get $mean)) (i64.const 100))
      (i64.mul (call $abs (local.get $mean)) (local.get $percent))))

  ;; The configured alert-percent, or 50; -1 if what is configured is no whole number from 0 to 9999.
  (func $alert_percent (result i64)
    (local $len i32) (local $percent i64)
    (local.set $len (call $cfg_get (i32.const 16) (i32.const 13) (global.get $number) (i32.const 20)))
    (if (i32.eq (local.get $len) (i32.const -1))
      (then (return (i64.const 50))))
    (call $must (local.get $len))
    (if (i32.gt_u (local.get $len) (i32.const 20))
      (then (return (i64.const -1))))
    (call $parse (global.get $number) (local.get $len))
    (local.set $percent (call $integer (i32.const 4)))
    (select (i64.const -1) (local.get $percent)
      (i32.or (global.get $bad) (i32.ne (global.get $pos) (global.get $end)))))

  ;; ---- the contract

  (func (export "rmds_init") (result i32)
    (i64.lt_s (call $alert_percent) (i64.const 0)))

  (func (export "rmds_handle") (result i32)
    (local $len i32) (local $n i64) (local $metric i32) (local $metric_len i32) (local $value i64)
    (local $mean i64) (local $percent i64)
    (local.set $len (call $msg_get (i32.const 0) (i32.const 7) (global.get $content) (i32.const 256)))
    (call $must (local.get $len))
    (call $parse (global.get $content) (select (local.get $len) (i32.const 0) (i32.le_u (local.get $len) (i32.const 256))))
    (call $literal (i32.const 32) (i32.const 5))
    (local.set $n (call $integer (i32.const 15)))
    (call $literal (i32.const 48) (i32.const 11))
    (local.set $metric (global.get $pos))
    (local.set $metric_len (call $metric))
    (call $literal (i32.const 64) (i32.const 10))
    (local.set $value (call $milli))
    (call $mismatch_if (i32.eqz (call $accept (i32.const 125))))
    (call $mismatch_if (i32.ne (global.get $pos) (global.get $end)))
    (call $mismatch_if (i64.eqz (local.get $n)))
    (if (global.get $bad)
      (then
        (drop (call $note (i32.const 256) (i32.const 6) (i32.const 272) (i32.const 17)))
        (return (i32.const 65))))

    (call $count_reading (local.get $n))
    (local.set $len (call $window_add (local.get $metric) (local.get $metric_len) (local.get $value)))
    (local.set $mean (call $window_mean (local.get $len)))
    (call $store_mean (local.get $metric) (local.get $metric_len) (local.get $mean) (i32.shr_u (local.get $len) (i32.const 3)))
    (call $send_reply (local.get $n) (local.get $mean))

    (local.set $percent (call $alert_percent))
    (if (i64.lt_s (local.get $percent) (i64.const 0))
      (then (call $fail (i32.const 400) (i32.const 48))))
    (if (i32.and
          (i32.ge_u (local.get $len) (i32.const 64)) ;; 8 samples
          (call $above (local.get $value) (local.get $mean) (local.get $percent)))
      (then (call $send_alert (local.get $n) (local.get $metric) (local.get $metric_len) (local.get $value) (local.get $mean))))
    (i32.const 0)))
