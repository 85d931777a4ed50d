package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// FuzzIndex holds that the index knows a place for every key of any document that the TOML parser accepts.
func FuzzIndex(f *testing.F) {
	for _, s := range []string{
		Example, full, "a.b.c = 1 # x\n'q.r' = [[1, 2], [\"]\", '''\n]'''], # y\n]\n", "[[a.b]]\nc=1\n[[a.b]]\n[a.b.d]\ne={f.g=1,h=[{i=2}]}",
		"a = \"\"\"x\\\"\"\"\"\"\nb = '''y'''''\n", "[ a . \"b c\" ]\nd = 1979-05-27 07:32:00Z\r\n", "a = {\n}", "\"\" = 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		src = strings.TrimPrefix(src, "\ufeff")
		var tree map[string]any
		if _, err := toml.Decode(src, &tree); err != nil {
			return
		}
		x := newIndex(src)
		if strings.Contains(src, `\`) || strings.HasPrefix(src, "\xff\xfe") || strings.HasPrefix(src, "\xfe\xff") {
			return // a key with escapes is indexed as it is written
		}
		var walk func(name string, v any)
		walk = func(name string, v any) {
			if _, ok := x.at[name]; !ok {
				t.Errorf("no place for %q in:\n%s", name, src)
			}
			switch v := v.(type) {
			case map[string]any:
				for k, e := range v {
					walk(join(name, k), e)
				}
			case []map[string]any:
				for i, e := range v {
					walk(fmt.Sprintf("%s[%d]", name, i), e)
				}
			case []any:
				for i, e := range v {
					walk(fmt.Sprintf("%s[%d]", name, i), e)
				}
			}
		}
		for k, v := range tree {
			walk(k, v)
		}
	})
}
