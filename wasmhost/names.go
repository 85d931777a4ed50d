package wasmhost

import "unicode/utf8"

// validChannel reports whether a channel name has the right form: tokens of letters, digits, _ and - joined by dots, at
// most 128 bytes.
func validChannel(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	token := 0
	for i := range len(name) {
		switch b := name[i]; {
		case b == '.':
			if token == 0 {
				return false
			}
			token = 0
		case isAlnum(b) || b == '_' || b == '-':
			token++
		default:
			return false
		}
	}
	return token > 0
}

// validHead reports whether a header may be sent: a name of letters, digits, dots, _ and -, a value of UTF-8.
func validHead(key, value []byte) bool {
	if len(key) == 0 || len(key) > maxHeadKey || len(value) > maxHeadValue || !utf8.Valid(value) {
		return false
	}
	for _, b := range key {
		if !isAlnum(b) && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}

func isAlnum(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
