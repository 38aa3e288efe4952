package keyauth

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

const wholeKey = "tenzo_pk_abcdefghijklmnopqrstuvwxyz012345"

func TestParseAuthorization(t *testing.T) {
	long := "tenzo_pk_" + strings.Repeat("a", 200)
	tests := []struct {
		name   string
		values []string
		key    string
		code   string
		says   string // part of the detail
	}{
		{"none", nil, "", CodeMissing, "needs a key"},
		{"empty", []string{""}, "", CodeMissing, "needs a key"},
		{"spaces", []string{"   "}, "", CodeMissing, "needs a key"},
		{"bearer", []string{"Bearer " + wholeKey}, wholeKey, "", ""},
		{"lower case scheme", []string{"bearer " + wholeKey}, wholeKey, "", ""},
		{"upper case scheme", []string{"BEARER " + wholeKey}, wholeKey, "", ""},
		{"several spaces", []string{"  Bearer    " + wholeKey + "  "}, wholeKey, "", ""},
		{"bare key", []string{wholeKey}, wholeKey, "", ""},
		{"bare key in spaces", []string{" " + wholeKey + " "}, wholeKey, "", ""},
		{"shortest", []string{"Bearer tenzo_pk_0123456789abcdeF"}, "tenzo_pk_0123456789abcdeF", "", ""},
		{"longest", []string{"Bearer " + long}, long, "", ""},
		{"underscore and hyphen", []string{"tenzo_pk_-_-_-_-_-_-_-_-_-"}, "tenzo_pk_-_-_-_-_-_-_-_-_-", "", ""},

		{"two lines", []string{"Bearer " + wholeKey, "Bearer " + wholeKey}, "", CodeInvalid, "more than one"},
		{"two lines, one empty", []string{"Bearer " + wholeKey, ""}, "", CodeInvalid, "more than one"},
		{"tab after the scheme", []string{"Bearer\t" + wholeKey}, "", CodeInvalid, "tab"},
		{"tab at the end", []string{"Bearer " + wholeKey + "\t"}, "", CodeInvalid, "tab"},
		{"not ASCII", []string{"Bearer tenzo_pk_abcdefghijklmnopqé"}, "", CodeInvalid, "accented"},
		{"not ASCII under another scheme", []string{"Basic \xff"}, "", CodeInvalid, "bytes"},
		{"NUL", []string{"Bearer " + wholeKey + "\x00"}, "", CodeInvalid, "bytes"},
		{"DEL", []string{"Bearer " + wholeKey + "\x7f"}, "", CodeInvalid, "bytes"},

		{"basic", []string{"Basic dXNlcjpwYXNz"}, "", CodeMalformed, "another scheme"},
		{"another scheme with a key", []string{"Token " + wholeKey}, "", CodeMalformed, "another scheme"},
		{"scheme alone", []string{"Bearer"}, "", CodeMalformed, "No key follows"},
		{"scheme and spaces", []string{"bearer   "}, "", CodeMalformed, "No key follows"},
		{"scheme twice", []string{"Bearer bearer " + wholeKey}, "", CodeMalformed, "twice"},
		{"no space", []string{"Bearer" + wholeKey}, "", CodeMalformed, "prefix"},
		{"prefix missing", []string{"Bearer abcdefghijklmnopqrstuvwxyz"}, "", CodeMalformed, "prefix"},
		{"prefix missing, bare", []string{"abcdefghijklmnopqrstuvwxyz"}, "", CodeMalformed, "prefix"},
		{"secret key of others", []string{"Bearer sk_live_abcdefghijklmnopqrstuvwxyz"}, "", CodeMalformed, "prefix"},
		{"prefix in upper case", []string{"Bearer TENZO_PK_abcdefghijklmnopqrstuvwxyz"}, "", CodeMalformed, "lower case"},
		{"cut in the prefix", []string{"Bearer tenzo_p"}, "", CodeMalformed, "cut short"},
		{"prefix alone", []string{"Bearer tenzo_pk_"}, "", CodeMalformed, "cut short"},
		{"15 characters", []string{"Bearer tenzo_pk_0123456789abcde"}, "", CodeMalformed, "cut short"},
		{"201 characters", []string{"Bearer " + long + "a"}, "", CodeMalformed, "too long"},
		{"100 kB", []string{"Bearer tenzo_pk_" + strings.Repeat("a", 100_000)}, "", CodeMalformed, "too long"},
		{"dot", []string{"Bearer tenzo_pk_abcdefghijklmnopqrstuvwxyz.x"}, "", CodeMalformed, "does not belong"},
		{"placeholder", []string{"Bearer $TENZO_KEY"}, "", CodeMalformed, "does not belong"},
		{"quoted", []string{`Bearer "` + wholeKey + `"`}, "", CodeMalformed, "does not belong"},
		{"space in the key", []string{"Bearer tenzo_pk_abcdefghijklmnopq rstuvwxyz"}, "", CodeMalformed, "does not belong"},
		{"space in a bare key", []string{"tenzo_pk_abcdefghijklmnopq rstuvwxyz"}, "", CodeMalformed, "does not belong"},
		{"list", []string{"Bearer " + wholeKey + ",Bearer " + wholeKey}, "", CodeMalformed, "comma"},
		{"list of bare keys", []string{wholeKey + ", " + wholeKey}, "", CodeMalformed, "comma"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, refusal := ParseAuthorization(tt.values)
			if refusal == nil {
				if tt.code != "" || c.key != tt.key {
					t.Fatalf("got %q, want %q %s", c.key, tt.key, tt.code)
				}
				return
			}
			if refusal.Code != tt.code || !strings.Contains(refusal.Detail, tt.says) {
				t.Errorf("got %s: %s; want %s: …%s…", refusal.Code, refusal.Detail, tt.code, tt.says)
			}
			if c.key != "" {
				t.Errorf("a refusal came with a key")
			}
		})
	}
}

func TestCredentialHidesItself(t *testing.T) {
	c, _ := ParseAuthorization([]string{wholeKey})
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credential", c)
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c), log.String()} {
		if strings.Contains(s, "abcdefgh") {
			t.Errorf("the key shows in %s", s)
		}
	}
}

func TestParseAuthorizationAllocatesNothing(t *testing.T) {
	values := []string{"  bearer  " + wholeKey + " "}
	if n := testing.AllocsPerRun(100, func() {
		if _, refusal := ParseAuthorization(values); refusal != nil {
			t.Fatal(refusal)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseAuthorization holds the parser against the contract's grammar, written down as expressions.
func FuzzParseAuthorization(f *testing.F) {
	accepted := regexp.MustCompile(`^ *(?:[Bb][Ee][Aa][Rr][Ee][Rr] +)?(tenzo_pk_[A-Za-z0-9_-]{16,200}) *$`)
	visible := regexp.MustCompile(`^[ -~]*$`)
	for _, s := range []string{"", "Bearer " + wholeKey, wholeKey + ",", "Basic eA==", "bearer  tenzo_pk_", "Bearer\t" + wholeKey, "\xff"} {
		f.Add(s, s, byte(1))
	}
	f.Fuzz(func(t *testing.T, one, two string, lines byte) {
		values := []string{one, two, two}[:lines%4]
		c, refusal := ParseAuthorization(values)
		var wanted string
		switch {
		case len(values) == 0:
			wanted = CodeMissing
		case len(values) > 1:
			wanted = CodeInvalid
		case accepted.MatchString(one) && !strings.Contains(one, "\n"):
			if key := accepted.FindStringSubmatch(one)[1]; refusal != nil || c.key != key {
				t.Fatalf("%q: got %q %v, want %q", one, c.key, refusal, key)
			}
			return
		case !visible.MatchString(one) || strings.Contains(one, "\n"):
			wanted = CodeInvalid
		case strings.Trim(one, " ") == "":
			wanted = CodeMissing
		default:
			wanted = CodeMalformed
		}
		if refusal == nil || refusal.Code != wanted || c.key != "" {
			t.Fatalf("%q: got %v, want %s", values, refusal, wanted)
		}
	})
}
