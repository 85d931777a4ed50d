// A message handler in C, without a C library: it counts the messages and replies "<count> <content>".

#define RMDS(name) __attribute__((import_module("rmds_v1"), import_name(#name)))

RMDS(msg_get) int msg_get(const char *key, int key_len, char *buf, int cap);
RMDS(kv_get) int kv_get(const char *key, int key_len, char *buf, int cap);
RMDS(kv_set) int kv_set(const char *key, int key_len, const char *val, int val_len);
RMDS(reply) int reply(const char *ptr, int len);
RMDS(note) int note(const char *key, int key_len, const char *val, int val_len);

#define TEXT(s) (s), (int)sizeof(s) - 1

enum { ACK = 0, FAILED = 1, REJECT = 65 };

enum { MAX_COUNT = 20, MAX_CONTENT = 4096 };

static char out[MAX_COUNT + 1 + MAX_CONTENT];

static int reject(const char *reason, int len) {
	note(TEXT("reason"), reason, len);
	return REJECT;
}

static unsigned long long parse(const char *digits, int len) {
	unsigned long long n = 0;
	for (int i = 0; i < len; i++)
		n = n * 10 + (digits[i] - '0');
	return n;
}

// format writes n at buf and returns its length.
static int format(unsigned long long n, char *buf) {
	int len = n >= 10 ? format(n / 10, buf) : 0;
	buf[len] = '0' + n % 10;
	return len + 1;
}

__attribute__((export_name("rmds_handle"))) int handle(void) {
	int size = msg_get(TEXT("content"), out, 0); // the length alone: nothing fits
	if (size == 0)
		return reject(TEXT("empty message"));
	if (size > MAX_CONTENT)
		return reject(TEXT("message over 4096 bytes"));

	int len = kv_get(TEXT("count"), out, MAX_COUNT);
	if (len > MAX_COUNT || len < -1)
		return FAILED;
	unsigned long long count = len > 0 ? parse(out, len) : 0; // -1: there is none yet

	len = format(count + 1, out);
	if (kv_set(TEXT("count"), out, len) < 0)
		return FAILED;
	out[len++] = ' ';
	msg_get(TEXT("content"), out + len, size);
	return reply(out, len + size) < 0 ? FAILED : ACK;
}
