package wasmhost

func kvGet(c *call, mem guestMemory, a []uint64) int64 {
	key, buf := string(mem.at(a[0], a[1])), mem.at(a[2], a[3])
	if c.effects == nil {
		return codeNotPermitted
	}
	if !c.validKey(key) {
		return codeBadArgument
	}
	var value []byte
	var found bool
	code := c.stored(func() (err error) {
		value, found, err = c.effects.Get(key)
		return err
	})
	return readResult(code, found, buf, value)
}

func kvNext(c *call, mem guestMemory, a []uint64) int64 {
	key, buf := string(mem.at(a[0], a[1])), mem.at(a[2], a[3])
	if c.effects == nil {
		return codeNotPermitted
	}
	if key != "" && !c.validKey(key) {
		return codeBadArgument
	}
	var next string
	var found bool
	code := c.stored(func() (err error) {
		next, found, err = c.effects.Next(key)
		return err
	})
	return readResult(code, found, buf, next)
}

func readResult[T string | []byte](code int64, found bool, buf []byte, data T) int64 {
	switch {
	case code != 0:
		return code
	case !found:
		return codeAbsent
	}
	return put(buf, data)
}

func kvSet(c *call, mem guestMemory, a []uint64) int64 {
	key, value := string(mem.at(a[0], a[1])), mem.at(a[2], a[3])
	if int64(len(value)) > c.mod.limits.KVValueBytes {
		return codeOverLimit
	}
	if code := c.countWrite(key, len(value)); code != 0 {
		return code
	}
	value = append([]byte{}, value...)
	return c.stored(func() error { return c.effects.Set(key, value) })
}

func kvDel(c *call, mem guestMemory, a []uint64) int64 {
	key := string(mem.at(a[0], a[1]))
	if code := c.countWrite(key, 0); code != 0 {
		return code
	}
	return c.stored(func() error { return c.effects.Delete(key) })
}

func (c *call) countWrite(key string, value int) int64 {
	size := int64(len(key) + value)
	switch {
	case c.effects == nil:
		return codeNotPermitted
	case !c.validKey(key):
		return codeBadArgument
	case c.kvWrites >= c.mod.limits.KVWrites || c.kvBytes+size > c.mod.limits.KVBytes:
		return codeOverLimit
	}
	c.kvWrites++
	c.kvBytes += size
	return 0
}

func (c *call) validKey(key string) bool { return key != "" && len(key) <= c.mod.limits.KVKeyBytes }
