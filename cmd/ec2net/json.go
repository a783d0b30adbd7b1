package main

import (
	"encoding/json"
	"reflect"
)

// JSON output. Fields are only ever added; scripts rely on the rest.

// encode prints a value as JSON on stdout.
func (p *program) encode(v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	return e.Encode(filled(v))
}

// filled is a copy of v in which no list is nil: JSON would call that null, and has one way to write an empty
// list, []. A list whose field has the tag null is left alone: there null says that it is not known.
func filled(v any) any {
	out := reflect.New(reflect.TypeOf(v)).Elem()
	out.Set(reflect.ValueOf(v))
	fill(out)
	return out.Interface()
}

// fill replaces each nil slice by an empty one, in copies: v may share memory with a record.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p := reflect.New(v.Type().Elem())
			p.Elem().Set(v.Elem())
			fill(p.Elem())
			v.Set(p)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if _, null := f.Tag.Lookup("null"); !null && (v.Field(i).CanSet() || f.Anonymous) {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(list, v)
		for i := range list.Len() {
			fill(list.Index(i))
		}
		v.Set(list)
	}
}
