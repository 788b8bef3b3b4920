package console

import (
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"dmarcd/internal/api"
)

// serveOpenAPI describes the operations of the table.
func (s *site) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	described, err := s.openAPI()
	if err != nil {
		plain(w, http.StatusInternalServerError, "the description could not be made\n")
		s.Log.Error("the description of the operations could not be made", "error", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(described) // a client that went away is no concern of ours
}

// object is an object of JSON.
type object map[string]any

// describe returns the description of the operations as OpenAPI 3.1.
func describe(operations []api.Info) ([]byte, error) {
	d := describer{schemas: object{}}
	paths := object{}
	for _, i := range operations {
		item := object{"post": d.operation(&i, false)}
		if !i.Changes {
			item["get"] = d.operation(&i, true)
		}
		paths[apiPath+i.Name] = item
	}
	d.schemas["Problem"] = object{"type": "object", "required": []string{"type", "title", "status"}, "properties": object{
		"type": object{"type": "string"}, "title": object{"type": "string"}, "status": object{"type": "integer"}, "detail": object{"type": "string"},
	}}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": "dmarcd", "version": "1", "description": "The operations of dmarcd: what the commands and the console ask. " +
			"Lists end with \"after\" where there is more; give it back to go on."},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"token": []string{}}, {"session": []string{}}},
		"paths":    paths,
		"components": object{"schemas": d.schemas, "securitySchemes": object{
			"token":   object{"type": "http", "scheme": "bearer", "description": "An API token, made on the page of your account."},
			"session": object{"type": "apiKey", "in": "cookie", "name": secureSessionCookie},
		}},
	}, "", " ")
}

// describer collects schemas.
type describer struct{ schemas object }

func (d *describer) operation(i *api.Info, byQuery bool) object {
	kind := "application/json"
	if i.Streams {
		kind = "application/x-ndjson"
	}
	failed := object{"description": "What went wrong (RFC 9457).", "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}
	method := "post"
	if byQuery {
		method = "get"
	}
	who := "For viewers and admins."
	if i.Role == api.RoleAdmin {
		who = "For admins."
	}
	if i.Scope == api.ScopeHost {
		who += " Not for viewers who are limited to domains."
	}
	if i.Streams {
		who += " The answer is one object a line."
	}
	out := object{
		"operationId": method + "_" + strings.ReplaceAll(i.Name, ".", "_"), "summary": i.Summary, "description": who,
		"tags": []string{strings.SplitN(i.Name, ".", 2)[0]},
		"responses": object{
			"200":     object{"description": "The answer.", "content": object{kind: object{"schema": d.schema(i.Out)}}},
			"default": failed,
		},
	}
	if byQuery {
		if list := d.parameters(i.In); len(list) > 0 {
			out["parameters"] = list
		}
		return out
	}
	out["requestBody"] = object{"content": object{"application/json": object{"schema": d.schema(i.In)}}}
	return out
}

// parameters returns the keys that a query may have.
func (d *describer) parameters(in reflect.Type) (out []object) {
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
				walk(f.Type)
				continue
			}
			if !f.IsExported() || name == "" || name == "-" {
				continue
			}
			if _, err := queryValue(f.Type, []string{"1"}); err == nil {
				out = append(out, object{"name": name, "in": "query", "schema": d.schema(f.Type)})
			}
		}
	}
	walk(in)
	return out
}

// schema describes the JSON form of a type.
func (d *describer) schema(t reflect.Type) object {
	textual := reflect.TypeFor[encoding.TextMarshaler]()
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t.Implements(textual) || reflect.PointerTo(t).Implements(textual):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
			return object{"type": []string{"string", "null"}, "contentEncoding": "base64"}
		}
		return object{"type": []string{"array", "null"}, "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	}
	return object{}
}

// structure describes a struct, once, among the components.
func (d *describer) structure(t reflect.Type) object {
	name := schemaName(t)
	ref := object{"$ref": "#/components/schemas/" + name}
	if _, known := d.schemas[name]; known {
		return ref
	}
	properties := object{}
	out := object{"type": "object", "properties": properties}
	d.schemas[name] = out // before the fields: they may lead back here
	var required []string
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for f := range t.Fields() {
			key, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && key == "" && f.Type.Kind() == reflect.Struct {
				walk(f.Type)
				continue
			}
			if !f.IsExported() || key == "" || key == "-" {
				continue
			}
			properties[key] = d.schema(f.Type)
			if !strings.Contains(rest, "omit") && f.Type.Kind() != reflect.Pointer {
				required = append(required, key)
			}
		}
	}
	walk(t)
	if len(required) > 0 && !strings.HasSuffix(name, "Request") && name != "Lookup" {
		out["required"] = required
	}
	return ref
}

// schemaName returns the name of a type in the description.
func schemaName(t reflect.Type) string {
	pkg := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
	if pkg == "api" {
		return t.Name()
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + t.Name()
}
