package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"
)

// binder moves what the TOML parser read into the Config and collects what does not fit.
type binder struct {
	c      *Config
	faults Faults
}

var (
	durationType = reflect.TypeFor[Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// bad notes a value that does not fit.
func (b *binder) bad(name, message, hint string) {
	b.faults = append(b.faults, b.c.Fault(name, message, hint))
}

// table binds the keys of a TOML table to the fields of a struct.
func (b *binder) table(name string, raw map[string]any, dst reflect.Value) {
	fields := fieldsOf(dst.Type())
	for key, value := range raw {
		i, ok := fields[key]
		if !ok {
			b.unknown(name, key, fields)
			continue
		}
		b.value(join(name, key), value, dst.Field(i))
	}
}

// fieldsOf returns the field numbers of a struct by TOML key.
func fieldsOf(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		if key, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); key != "" {
			fields[key] = i
		}
	}
	return fields
}

func (b *binder) unknown(table, key string, fields map[string]int) {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	sort.Strings(names)
	hint := ""
	if n := nearest(key, names); n != "" {
		hint = "did you mean " + n + "?"
	} else if home := homeOf(key); len(home) > 0 {
		hint = "it belongs in " + strings.Join(home, " or ")
	} else {
		hint = "known here: " + strings.Join(names, ", ")
	}
	f := b.c.Fault(join(table, key), "unknown key", hint)
	f.Line, f.Col = b.c.place(join(table, key), false)
	b.faults = append(b.faults, f)
}

// homeOf names the tables that have a key.
func homeOf(key string) (tables []string) {
	for _, k := range Keys() {
		if table, ok := strings.CutSuffix(k, "."+key); ok {
			if list, ok := strings.CutSuffix(table, "[]"); ok {
				tables = append(tables, "[["+list+"]]")
			} else {
				tables = append(tables, "["+table+"]")
			}
		}
	}
	return tables
}

func (b *binder) value(name string, raw any, dst reflect.Value) {
	switch {
	case dst.Type() == durationType:
		b.text(name, raw, "a duration in quotes", `"10s"`, func(s string) error {
			d, err := ParseDuration(s)
			dst.SetInt(int64(d))
			return err
		})
	case dst.Type() == sizeType:
		b.text(name, raw, "a size in quotes", `"8MiB"`, func(s string) error {
			n, err := ParseSize(s)
			dst.SetInt(int64(n))
			return err
		})
	case dst.Kind() == reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		b.value(name, raw, dst.Elem())
	case dst.Kind() == reflect.String:
		b.text(name, raw, "a string in quotes", `"text"`, func(s string) error { dst.SetString(s); return nil })
	case dst.Kind() == reflect.Bool:
		if v, ok := raw.(bool); ok {
			dst.SetBool(v)
		} else {
			b.wrong(name, raw, "true or false, without quotes", "true")
		}
	case dst.Kind() == reflect.Int:
		if v, ok := raw.(int64); ok && v >= math.MinInt32 && v <= math.MaxInt32 {
			dst.SetInt(v)
		} else {
			b.wrong(name, raw, "a whole number, without quotes", "100")
		}
	case dst.Kind() == reflect.Struct:
		if t, ok := raw.(map[string]any); ok {
			b.table(name, t, dst)
		} else {
			b.wrong(name, raw, "a table", "["+name+"] on a line of its own")
		}
	case dst.Kind() == reflect.Map:
		b.strings(name, raw, dst)
	default:
		b.list(name, raw, dst)
	}
}

func (b *binder) text(name string, raw any, want, example string, set func(string) error) {
	s, ok := raw.(string)
	if !ok {
		b.wrong(name, raw, want, example)
		return
	}
	if err := set(s); err != nil {
		b.bad(name, err.Error(), "")
	}
}

// strings binds a table of free keys, each with a string.
func (b *binder) strings(name string, raw any, dst reflect.Value) {
	t, ok := raw.(map[string]any)
	if !ok {
		b.wrong(name, raw, "a table of strings", name[strings.LastIndexByte(name, '.')+1:]+` = { key = "value" }`)
		return
	}
	out := make(map[string]string, len(t))
	for key, value := range t {
		b.text(join(name, key), value, "a string in quotes", `"value"`, func(s string) error { out[key] = s; return nil })
	}
	dst.Set(reflect.ValueOf(out))
}

// list binds an array of strings or an array of tables.
func (b *binder) list(name string, raw any, dst reflect.Value) {
	element := dst.Type().Elem()
	var items []any
	switch v := raw.(type) {
	case []any:
		items = v
	case []map[string]any:
		for _, t := range v {
			items = append(items, t)
		}
	default:
		if element.Kind() == reflect.Struct {
			b.wrong(name, raw, "an array of tables", "[["+name+"]] on a line of its own")
		} else {
			b.wrong(name, raw, "a list of strings", `["one", "two"]`)
		}
		return
	}
	out := reflect.MakeSlice(dst.Type(), len(items), len(items))
	for i, item := range items {
		e := out.Index(i)
		if d, ok := e.Addr().Interface().(interface{ setDefaults() }); ok {
			d.setDefaults()
		}
		b.value(fmt.Sprintf("%s[%d]", name, i), item, e)
	}
	dst.Set(out)
}

func (b *binder) wrong(name string, raw any, want, example string) {
	b.bad(name, fmt.Sprintf("is %s; want %s", kindOf(raw), want), "for example "+example)
}

func kindOf(raw any) string {
	switch v := raw.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("the boolean %v", v)
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	default:
		return "a list"
	}
}

// Keys returns the full name of every key that a configuration may have, sorted; tables of an array are written
// with [], as in handler[].module, and free keys of a table of strings are left out.
func Keys() []string {
	var keys []string
	var walk func(name string, t reflect.Type)
	walk = func(name string, t reflect.Type) {
		switch {
		case t.Kind() == reflect.Struct:
			for key, i := range fieldsOf(t) {
				walk(join(name, key), t.Field(i).Type)
			}
		case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
			walk(name+"[]", t.Elem())
		default:
			keys = append(keys, name)
		}
	}
	walk("", reflect.TypeFor[Config]())
	slices.Sort(keys)
	return keys
}
