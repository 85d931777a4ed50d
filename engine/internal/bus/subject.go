package bus

import (
	"fmt"
	"strings"
)

// checkSubject returns an error wrapping ErrSubject unless subject is one that NATS allows; wildcards are
// allowed only if wild is set.
func checkSubject(subject string, wild bool) error {
	if strings.ContainsAny(subject, " \t\r\n\x00") {
		return fmt.Errorf("%w: white space in %q", ErrSubject, subject)
	}
	for rest, more := subject, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		switch {
		case token == "":
			return fmt.Errorf("%w: empty token in %q", ErrSubject, subject)
		case !wild && (token == "*" || token == ">"):
			return fmt.Errorf("%w: wildcard in %q", ErrSubject, subject)
		case token == ">" && more:
			return fmt.Errorf("%w: \">\" is not last in %q", ErrSubject, subject)
		}
	}
	return nil
}

// matchSubject reports whether subject, which has no wildcards, matches pattern. Both are valid.
func matchSubject(pattern, subject string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == ">" {
			return true
		}
		got, subjectRest, subjectMore := strings.Cut(subject, ".")
		if want != "*" && want != got {
			return false
		}
		if !patternMore || !subjectMore {
			return patternMore == subjectMore
		}
		pattern, subject = patternRest, subjectRest
	}
}
