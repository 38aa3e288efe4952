package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseTargetShapes(t *testing.T) {
	for raw, want := range map[string]shape{
		"redis://localhost:6379/3":                                       single,
		"rediss://u:p@h:1/?protocol=2":                                   single,
		"unix:///run/redis.sock?db=2":                                    single,
		"redis://s1:26379?master_name=main&addr=s2:26379&addr=s3:26379":  sentinel,
		"redis://s1:26379/1?addr=s2:26379&master_name=main&password=x":   sentinel,
		"redis://n1:6379?addr=n2:6379":                                   cluster,
		"redis://n1:6379?cluster=true":                                   cluster,
		"redis://n1:6379?cluster=false":                                  single,
		"redis://n1:6379?cluster=1":                                      cluster,
		"redis://n1:6379?pool_size=&db=&cluster=":                        single,
		"redis://n1:6379?idle_timeout=5m&max_conn_age=3600":              single,
		"redis://s1?master_name=m&disableIdentity=true&identitySuffix=x": sentinel,
	} {
		got, err := parseTarget(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got.shape != want {
			t.Errorf("%s: shape %v, want %v", raw, got.shape, want)
		}
	}
}

func TestParseTargetDetails(t *testing.T) {
	got, err := parseTarget("redis://suser:spass@s1:26379/2?master_name=main&addr=s2:26379&username=duser&password=dpass")
	if err != nil {
		t.Fatal(err)
	}
	o := got.sentinel
	if o.SentinelUsername != "suser" || o.SentinelPassword != "spass" || o.Username != "duser" || o.Password != "dpass" || o.DB != 2 || len(o.SentinelAddrs) != 2 {
		t.Errorf("sentinel options: %+v", o)
	}
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = parseTarget("redis://suser:spass@s1:26379?master_name=main&password_file=" + file); err != nil {
		t.Fatal(err)
	}
	if got.sentinel.SentinelPassword != "spass" {
		t.Error("password_file is the data server's")
	}
	provides(t, got.sentinel.CredentialsProviderContext, file, "")
	if got, err = parseTarget("redis://suser@s1:26379?master_name=main&username=duser&password_file=" + file); err != nil {
		t.Fatal(err)
	}
	provides(t, got.sentinel.CredentialsProviderContext, file, "duser")
	if got, err = parseTarget("redis://user@h:1?password_file=" + file); err != nil {
		t.Fatal(err)
	}
	provides(t, got.single.CredentialsProviderContext, file, "user")
	if got, err = parseTarget("redis://user@h:1?cluster=true&password_file=" + file); err != nil {
		t.Fatal(err)
	}
	provides(t, got.cluster.CredentialsProviderContext, file, "user")
}

// provides wants the credentials of a connection to be what stands in a file when it is made.
func provides(t *testing.T, credentials func(context.Context) (string, string, error), file, user string) {
	t.Helper()
	for _, want := range []string{"renewed", "from file"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if u, p, err := credentials(t.Context()); err != nil || u != user || p != want {
			t.Errorf("%q, %q, %v; want %q, %q", u, p, err, user, want)
		}
	}
}

// Every refusal says what is wrong, and none shows a password, wherever a mistyped URL has it.
func TestParseTargetRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"":                                                     "scheme",
		"localhost:6379":                                       "scheme",
		"http://localhost":                                     "scheme",
		"SECRET://h":                                           "scheme",
		"redis:h:6379":                                         "//",
		"redis://:SECRET/x@h:6379":                             "cannot be read",
		"redis://:SECR#ET@h":                                   "cannot be read",
		"redis://u:SECRET@h:port":                              "cannot be read",
		"redis://u:SECRET@h/notanumber":                        "cannot be read",
		"redis://u:%zzSECRET@h":                                "cannot be read",
		"redis://u:SECRET?x@h":                                 "cannot be read",
		"redis://u:SECRET@h?SECRET=1":                          "not known",
		"redis://u:SECRET@h?db=SECRET":                         "db to something that is not a number",
		"redis://u:SECRET@h?pool_fifo=SECRET":                  "pool_fifo",
		"redis://u:SECRET@h?conn_max_lifetime=SECRET":          "conn_max_lifetime",
		"redis://u:SECRET@h?addr=SECRET":                       "addr",
		"redis://u:SECRET@h?read_only=true":                    "read_only",
		"redis://u:SECRET@h?addr=x:1&route_by_latency=1":       "route_by_latency",
		"redis://u:SECRET@h?addr=x:1&route_randomly=1":         "route_randomly",
		"redis://h?master_name=m&replica_only=true":            "replica_only",
		"redis://h?master_name=m&use_disconnected_replicas=1":  "use_disconnected_replicas",
		"redis://h?max_retries=3":                              "max_retries",
		"redis://h?read_timeout=3s":                            "read_timeout",
		"redis://h?write_timeout=3s":                           "write_timeout",
		"redis://h?dial_timeout=3s":                            "dial_timeout",
		"redis://h?pool_timeout=3s":                            "pool_timeout",
		"redis://h?dialer_retries=3":                           "dialer_retries",
		"redis://h?addr=x:1&max_redirects=9":                   "max_redirects",
		"redis://h?master_name=m&context_timeout_enabled=true": "context_timeout_enabled",
		"rediss://h?skip_verify=true":                          "skip_verify",
		"redis://h?password=SECRET":                            "password without master_name",
		"redis://h?cluster=true&db=1":                          "db",
		"redis://h?pool_size=-1":                               "pool_size",
		"redis://h?pipeline_pool_size=-2":                      "pipeline_pool_size",
		"redis://h?pool_size=99999999999":                      "pool_size",
		"redis://h?cluster=perhaps":                            "cluster",
		"redis://h?master_name=":                               "master_name",
		"redis://h?ca_file=/x":                                 "rediss://",
		"rediss://h?ca_file=/does/not/exist":                   "ca_file",
		"rediss://h?ca_file=" + empty:                          "no certificate",
		"rediss://h?cert_file=/x":                              "together",
		"redis://u:SECRET@h?password_file=" + empty:            "one of them",
		"redis://u@h?password_file=" + empty:                   "empty",
		"redis://u@h?password_file=/does/not/exist":            "password_file",
		"unix://":                "socket",
		"unix:///s?cluster=true": "unix socket",
	} {
		_, err := parseTarget(raw)
		switch {
		case err == nil:
			t.Errorf("%q passed", raw)
		case !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v, want %q in it", raw, err, want)
		case strings.Contains(err.Error(), "SECR"), strings.Contains(err.Error(), "\n"):
			t.Errorf("%q: %v shows too much", raw, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{
		"redis://u:p@h:1/2?db=1", "rediss://h?ca_file=x", "unix:///s", "redis://h?master_name=m&addr=x:1&password=p", "redis://h?addr=[::1]:1",
		"redis://h?cluster=true&pipeline_pool_size=-1", "redis://h?pool_size=1048576&pipeline_pool_size=1048576", "redis://h?max_concurrent_dials=1048576&pipeline_read_buffer_size=1",
		"redis://:p%2f@[::1]:1", "redis://h?conn_max_lifetime=1&conn_max_lifetime_jitter=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		const password = "pass-W0rd!"
		for _, raw := range []string{raw, strings.Replace(raw, "://", "://user:"+password+"@", 1)} {
			if strings.Contains(raw, "_file") {
				return // of files, their names may be shown
			}
			tg, err := parseTarget(raw)
			if err != nil {
				if strings.Contains(err.Error(), password) {
					t.Errorf("%q: %v", raw, err)
				}
				return
			}
			if strings.Contains(tg.name, password) {
				t.Errorf("%q is shown as %q", raw, tg.name)
			}
			if strings.Contains(raw, "min_idle_conns") {
				return // it would dial
			}
			st, err := Open(Options{URL: raw})
			if err != nil {
				t.Fatalf("%q: %v", raw, err)
			}
			_ = st.Close()
		}
	})
}

func TestResolveURL(t *testing.T) {
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "url"), filepath.Join(dir, "empty")
	for path, content := range map[string]string{file: "redis://:SECRET@h:1\n", empty: " \n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ value, env, addr, want, wantErr string }{
		{want: "redis://127.0.0.1:36379"},
		{addr: "127.0.0.1:1", want: "redis://127.0.0.1:1"},
		{value: "embedded", env: "redis://h", want: "redis://127.0.0.1:36379"},
		{value: "embedded", addr: "127.0.0.1:1", want: "redis://127.0.0.1:1"},
		{env: "embedded", addr: "127.0.0.1:1", want: "redis://127.0.0.1:1"},
		{env: "redis://h", want: "redis://h"},
		{env: "@" + file, want: "redis://:SECRET@h:1"},
		{value: "@" + file, env: "redis://h", want: "redis://:SECRET@h:1"},
		{value: "redis://x", env: "redis://h", want: "redis://x"},
		{value: "@" + empty, wantErr: "empty"},
		{value: "@/does/not/exist", wantErr: "reading"},
	} {
		t.Setenv("TENZO_REDIS_URL", tc.env)
		t.Setenv("TENZO_EMBEDDED_ADDR", tc.addr)
		got, err := ResolveURL(tc.value)
		if got != tc.want || (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
			t.Errorf("%+v: %q, %v", tc, got, err)
		}
	}
}

func TestLiteralPassword(t *testing.T) {
	for raw, want := range map[string]bool{
		"":                                          false,
		"{env.TENZO_REDIS_URL}":                     false,
		"embedded":                                  false,
		"redis://h:6379/0":                          false,
		"redis://user@h:6379":                       false,
		"redis://user:@h:6379":                      false,
		"redis://user:pw@h":                         true,
		"redis://:pw@h":                             true,
		"redis://:{env.PW}@h":                       false,
		"redis://{env.USER}:{file./a:b}@h":          false,
		"redis://:x{env.PW}@h":                      true,
		"redis://:p/w@h":                            true,
		"redis://:p@w@h":                            true,
		"redis://h?master_name=m&password=":         false,
		"redis://h?master_name=m&password=x":        true,
		"redis://h?master_name=m&password={env.PW}": false,
		"rediss://h?password_file=/x":               false,
		"redis://:{env.PW@h":                        true,
		"redis://[::1]:6379/0":                      false,
		"redis://:p?w@h":                            true,
	} {
		if got := LiteralPassword(raw); got != want {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	}
}
