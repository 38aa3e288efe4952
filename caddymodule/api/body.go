package api

// Reading request bodies and query parameters, and writing answers.

import (
	stdjson "encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// The largest bodies that are read.
const (
	maxBody      = 64 << 10
	maxEventBody = 16 << 20 // far above the largest payload that is ever delivered: those above max_payload end dead, with their reason
)

// member is an optional member of a JSON object that tells null from absent.
type member[T any] struct {
	set   bool
	null  bool
	value T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *member[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	m.set = true
	m.null = dec.PeekKind() == 'n'
	return json.UnmarshalDecode(dec, &m.value)
}

// pointer is nil where the member is absent. A null is refused: field names the member.
func (m member[T]) pointer(field string) (*T, error) {
	if !m.set {
		return nil, nil
	}
	if m.null {
		return nil, problem.Invalid(field, "invalid_value", field+" cannot be null")
	}
	return &m.value, nil
}

// readBody decodes the body into v, strictly: one JSON value of at most limit bytes, no unknown or repeated member, valid UTF-8.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return &problem.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "the body must be sent with Content-Type: application/json"}
	}
	if err := decodeObject(jsontext.NewDecoder(http.MaxBytesReader(w, r.Body, limit)), v); err != nil {
		return bodyError(err)
	}
	return nil
}

var errNoObject = errors.New("no JSON object")

// decodeObject reads one JSON object and nothing after it. Without a look at what it is, null would count as an empty one.
func decodeObject(dec *jsontext.Decoder, v any) error {
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return errNoObject
	}
	if err := json.UnmarshalDecode(dec, v, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	switch _, err := dec.ReadToken(); {
	case err == nil:
		return errNoObject
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// bodyError words what is wrong with a body, without repeating what stands in it.
func bodyError(err error) error {
	var (
		tooLarge *http.MaxBytesError
		syntax   *jsontext.SyntacticError
		semantic *json.SemanticError
	)
	bad := func(code, field, detail string) error {
		return &problem.Error{Status: http.StatusBadRequest, Code: code, Field: field, Detail: detail}
	}
	switch {
	case errors.As(err, &tooLarge):
		return &problem.Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Detail: "the body is larger than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"}
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic):
		field := fieldOf(semantic.JSONPointer)
		return bad("unknown_member", field, "there is no member of this name here")
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return bad("duplicate_member", fieldOf(syntax.JSONPointer), "a member stands twice in one object")
	case errors.Is(err, errNoObject):
		return bad("invalid_json", "", "the body must be one JSON object")
	case errors.As(err, &semantic):
		field := fieldOf(semantic.JSONPointer)
		return problem.Invalid(field, "invalid_type", field+" has another JSON type than it should")
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return bad("invalid_json", "", "the body is empty")
	default:
		return bad("invalid_json", "", "the body is no valid JSON")
	}
}

// fieldOf is the top-level member that a JSON pointer leads into.
func fieldOf(p jsontext.Pointer) string {
	for token := range p.Tokens() {
		if r := []rune(token); len(r) > 100 {
			return string(r[:100])
		}
		return token
	}
	return ""
}

// paging reads `limit`, 0 where it is left out, and `cursor`. What they may be the lists say.
func paging(r *http.Request) (limit int, cursor string, err error) {
	query := r.URL.Query()
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit == 0 {
			return 0, "", config.ErrInvalidLimit
		}
	}
	return limit, query.Get("cursor"), nil
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := stdjson.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that went away needs no answer
	return nil
}
