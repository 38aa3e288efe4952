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
		{"none", nil, "", codeMissing, "needs a key"},
		{"empty", []string{""}, "", codeMissing, "needs a key"},
		{"spaces", []string{"   "}, "", codeMissing, "needs a key"},
		{"bearer", []string{"Bearer " + wholeKey}, wholeKey, "", ""},
		{"lower case scheme", []string{"bearer " + wholeKey}, wholeKey, "", ""},
		{"upper case scheme", []string{"BEARER " + wholeKey}, wholeKey, "", ""},
		{"several spaces", []string{"  Bearer    " + wholeKey + "  "}, wholeKey, "", ""},
		{"bare key", []string{wholeKey}, wholeKey, "", ""},
		{"bare key in spaces", []string{" " + wholeKey + " "}, wholeKey, "", ""},
		{"shortest", []string{"Bearer tenzo_pk_0123456789abcdeF"}, "tenzo_pk_0123456789abcdeF", "", ""},
		{"longest", []string{"Bearer " + long}, long, "", ""},
		{"underscore and hyphen", []string{"tenzo_pk_-_-_-_-_-_-_-_-_-"}, "tenzo_pk_-_-_-_-_-_-_-_-_-", "", ""},

		{"two lines", []string{"Bearer " + wholeKey, "Bearer " + wholeKey}, "", codeInvalid, "more than one"},
		{"two lines, one empty", []string{"Bearer " + wholeKey, ""}, "", codeInvalid, "more than one"},
		{"tab after the scheme", []string{"Bearer\t" + wholeKey}, "", codeInvalid, "tab"},
		{"tab at the end", []string{"Bearer " + wholeKey + "\t"}, "", codeInvalid, "tab"},
		{"not ASCII", []string{"Bearer tenzo_pk_abcdefghijklmnopqé"}, "", codeInvalid, "accented"},
		{"not ASCII under another scheme", []string{"Basic \xff"}, "", codeInvalid, "bytes"},
		{"NUL", []string{"Bearer " + wholeKey + "\x00"}, "", codeInvalid, "bytes"},
		{"DEL", []string{"Bearer " + wholeKey + "\x7f"}, "", codeInvalid, "bytes"},

		{"basic", []string{"Basic dXNlcjpwYXNz"}, "", codeMalformed, "another scheme"},
		{"another scheme with a key", []string{"Token " + wholeKey}, "", codeMalformed, "another scheme"},
		{"scheme alone", []string{"Bearer"}, "", codeMalformed, "No key follows"},
		{"scheme and spaces", []string{"bearer   "}, "", codeMalformed, "No key follows"},
		{"scheme twice", []string{"Bearer bearer " + wholeKey}, "", codeMalformed, "twice"},
		{"no space", []string{"Bearer" + wholeKey}, "", codeMalformed, "prefix"},
		{"prefix missing", []string{"Bearer abcdefghijklmnopqrstuvwxyz"}, "", codeMalformed, "prefix"},
		{"prefix missing, bare", []string{"abcdefghijklmnopqrstuvwxyz"}, "", codeMalformed, "prefix"},
		{"secret key of others", []string{"Bearer sk_live_abcdefghijklmnopqrstuvwxyz"}, "", codeMalformed, "prefix"},
		{"prefix in upper case", []string{"Bearer TENZO_PK_abcdefghijklmnopqrstuvwxyz"}, "", codeMalformed, "lower case"},
		{"cut in the prefix", []string{"Bearer tenzo_p"}, "", codeMalformed, "cut short"},
		{"prefix alone", []string{"Bearer tenzo_pk_"}, "", codeMalformed, "cut short"},
		{"15 characters", []string{"Bearer tenzo_pk_0123456789abcde"}, "", codeMalformed, "cut short"},
		{"201 characters", []string{"Bearer " + long + "a"}, "", codeMalformed, "too long"},
		{"100 kB", []string{"Bearer tenzo_pk_" + strings.Repeat("a", 100_000)}, "", codeMalformed, "too long"},
		{"dot", []string{"Bearer tenzo_pk_abcdefghijklmnopqrstuvwxyz.x"}, "", codeMalformed, "does not belong"},
		{"placeholder", []string{"Bearer $TENZO_KEY"}, "", codeMalformed, "does not belong"},
		{"quoted", []string{`Bearer "` + wholeKey + `"`}, "", codeMalformed, "does not belong"},
		{"space in the key", []string{"Bearer tenzo_pk_abcdefghijklmnopq rstuvwxyz"}, "", codeMalformed, "does not belong"},
		{"space in a bare key", []string{"tenzo_pk_abcdefghijklmnopq rstuvwxyz"}, "", codeMalformed, "does not belong"},
		{"list", []string{"Bearer " + wholeKey + ",Bearer " + wholeKey}, "", codeMalformed, "comma"},
		{"list of bare keys", []string{wholeKey + ", " + wholeKey}, "", codeMalformed, "comma"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, refusal := parseAuthorization(tt.values)
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
	c, _ := parseAuthorization([]string{wholeKey})
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
		if _, refusal := parseAuthorization(values); refusal != nil {
			t.Fatal(refusal)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseAuthorization compares the parser with the specification's grammar, written as regular
// expressions.
func FuzzParseAuthorization(f *testing.F) {
	accepted := regexp.MustCompile(`^ *(?:[Bb][Ee][Aa][Rr][Ee][Rr] +)?(tenzo_pk_[A-Za-z0-9_-]{16,200}) *$`)
	visible := regexp.MustCompile(`^[ -~]*$`)
	for _, s := range []string{"", "Bearer " + wholeKey, wholeKey + ",", "Basic eA==", "bearer  tenzo_pk_", "Bearer\t" + wholeKey, "\xff"} {
		f.Add(s, s, byte(1))
	}
	f.Fuzz(func(t *testing.T, one, two string, lines byte) {
		values := []string{one, two, two}[:lines%4]
		c, refusal := parseAuthorization(values)
		var wanted string
		switch {
		case len(values) == 0:
			wanted = codeMissing
		case len(values) > 1:
			wanted = codeInvalid
		case accepted.MatchString(one) && !strings.Contains(one, "\n"):
			if key := accepted.FindStringSubmatch(one)[1]; refusal != nil || c.key != key {
				t.Fatalf("%q: got %q %v, want %q", one, c.key, refusal, key)
			}
			return
		case !visible.MatchString(one) || strings.Contains(one, "\n"):
			wanted = codeInvalid
		case strings.Trim(one, " ") == "":
			wanted = codeMissing
		default:
			wanted = codeMalformed
		}
		if refusal == nil || refusal.Code != wanted || c.key != "" {
			t.Fatalf("%q: got %v, want %s", values, refusal, wanted)
		}
	})
}
