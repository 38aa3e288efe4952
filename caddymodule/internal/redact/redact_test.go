package redact

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

const key = "tenzo_pk_0123456789abcdefghijWXYZ"

func TestBytes(t *testing.T) {
	var escaped strings.Builder
	for _, c := range []byte(key) {
		escaped.WriteString("%" + string("0123456789abcdef"[c>>4]) + string("0123456789ABCDEF"[c&15]))
	}
	for in, want := range map[string]string{
		"":                       "",
		"nothing":                "nothing",
		"100% tenzo":             "100% tenzo",
		key:                      "tenzo_pk_...WXYZ",
		"/x?api_key=" + key:      "/x?api_key=tenzo_pk_...WXYZ",
		"a=" + key + "&b=" + key: "a=tenzo_pk_...WXYZ&b=tenzo_pk_...WXYZ",
		"/" + key + "/x?y=%20":   "/tenzo_pk_...WXYZ/x?y=%20",
		"?k=tenzo%5Fpk%5f0123456789abcdefghijWXYZ": "?k=tenzo_pk_...WXYZ",
		"?k=" + escaped.String() + "&x":            "?k=tenzo_pk_...WXYZ&x",
		`{"uri":"/?k=` + key + `","x":1}`:          `{"uri":"/?k=tenzo_pk_...WXYZ","x":1}`,
		"tenzo_pk_0123456789abcde":                 "tenzo_pk_0123456789abcde", // 15 is short
		"tenzo_pk_" + strings.Repeat("a", 500):     "tenzo_pk_...aaaa",
		"tenzo_pk_...WXYZ":                         "tenzo_pk_...WXYZ",
		"xtenzo_pk_tenzo_pk_0123456789abcdef":      "xtenzo_pk_...cdef",
		"ttenzo_pk_0123456789abcdef%":              "ttenzo_pk_...cdef%",
		"tenzo_pk_short tenzo_pk_0123456789abcdef": "tenzo_pk_short tenzo_pk_...cdef",
	} {
		if got := string(Bytes([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestHint(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"Bearer sk_live_0123456789": "",
		"Bearer" + key:              "tenzo_pk_...WXYZ",
		"Bearer tenzo_pk_01234567":  "tenzo_pk_...4567",
		"Bearer tenzo_pk_0123456":   "tenzo_pk_...",
	} {
		if got := Hint(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNothingToCutAllocatesNothing(t *testing.T) {
	line := []byte(`{"level":"info","ts":1,"request":{"uri":"/notes?q=50%25&tenzo=1"}}`)
	if n := testing.AllocsPerRun(100, func() { Bytes(line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzBytes puts a key into arbitrary text: the key never shows, and the text around it stays.
func FuzzBytes(f *testing.F) {
	f.Add("/x?k=", "&y=1", false)
	f.Add("%", "%7", true)
	f.Fuzz(func(t *testing.T, before, after string, encode bool) {
		text := key
		if encode {
			text = strings.ReplaceAll(url.QueryEscape(key), "_", "%5F")
		}
		got := Bytes([]byte(before + text + after))
		if strings.Contains(string(got), key) || bytes.Contains(got, []byte("0123456789abcdefghij")) &&
			!strings.Contains(before+after, "0123456789abcdefghij") {
			t.Errorf("%q shows the key: %q", before+text+after, got)
		}
		if again := Bytes(got); !bytes.Equal(again, got) && !strings.Contains(before+after, apikey.Prefix) {
			t.Errorf("%q is cut again to %q", got, again)
		}
	})
}

func BenchmarkBytes(b *testing.B) {
	line := []byte(`{"level":"info","ts":1700000000.1,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"192.0.2.1","remote_port":"1234","client_ip":"192.0.2.1","proto":"HTTP/1.1","method":"GET","host":"api.example.com","uri":"/v1/notes?limit=100","headers":{"User-Agent":["curl/8.5.0"],"Authorization":["REDACTED"]}},"bytes_read":0,"user_id":"k1","duration":0.001,"size":1000,"status":200,"resp_headers":{"Content-Type":["application/json"]},"key_id":"k1","org_id":"acme"}`)
	for b.Loop() {
		Bytes(line)
	}
}
