package bus

import (
	"errors"
	"testing"
)

func TestMatchSubject(t *testing.T) {
	for _, tt := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"*.b", "a.b", true},
		{"*.b", "a.c", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "b.a", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{"*", "a.b", false},
		{"a*", "ab", false},
		{"a*", "a*", true},
	} {
		if got := matchSubject(tt.pattern, tt.subject); got != tt.want {
			t.Errorf("matchSubject(%q, %q) = %v", tt.pattern, tt.subject, got)
		}
	}
}

func TestCheckSubject(t *testing.T) {
	for _, tt := range []struct {
		subject            string
		publish, subscribe bool
	}{
		{"a", true, true},
		{"rmds.data.b.a", true, true},
		{"a*.b>", true, true},
		{"a.*", false, true},
		{"a.>", false, true},
		{">", false, true},
		{"a.>.b", false, false},
		{"", false, false},
		{".a", false, false},
		{"a.", false, false},
		{"a..b", false, false},
		{"a b", false, false},
		{"a\r\nPUB b 0\r\n", false, false},
	} {
		if err := checkSubject(tt.subject, false); (err == nil) != tt.publish || err != nil && !errors.Is(err, ErrSubject) {
			t.Errorf("publishing to %q: %v", tt.subject, err)
		}
		if err := checkSubject(tt.subject, true); (err == nil) != tt.subscribe || err != nil && !errors.Is(err, ErrSubject) {
			t.Errorf("subscribing to %q: %v", tt.subject, err)
		}
	}
}
