package main

import (
	"errors"
	"strconv"

	"github.com/getevo/rmds/handlers/guest"
)

// number returns the decimal number stored under key, 0 if there is none.
func number(key string) (int64, error) {
	text, ok, err := guest.Get(key)
	if err != nil || !ok {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, errors.New(key + " holds " + strconv.Quote(string(text)) + ", which is no number")
	}
	return n, nil
}

func setNumber(key string, n int64) error {
	return guest.Set(key, strconv.AppendInt(nil, n, 10))
}

// increment adds one to the number stored under key and returns it.
func increment(key string) (int64, error) {
	n, err := number(key)
	if err != nil {
		return 0, err
	}
	return n + 1, setNumber(key, n+1)
}
