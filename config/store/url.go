package store

// This file turns a URL into the options of go-redis, and refuses parameters that would break the
// rest of this code. No error repeats a part of the URL that could be a password. So errors of
// net/url and go-redis are left out: both quote the text they could not read.

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The three shapes of a Redis (specification.md, section 4).
type shape int

const (
	single shape = iota
	sentinel
	cluster
)

// target is the Redis that a URL names: its shape, the options of go-redis for that shape, and how
// its servers are trusted.
type target struct {
	shape    shape
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions
	tls      *tlsFiles // nil: plain
	unix     bool
	name     string // its address, without secrets
}

// The types of parameters. Only the parameters below are known: ours, and those of go-redis that
// this code does not depend on, as the specification promises.
const (
	anyText  = "text"
	number   = "a number"
	duration = "a duration"
	yesNo    = "true or false"
)

var params = map[string]string{
	// ours
	"ca_file": anyText, "cert_file": anyText, "key_file": anyText, "password_file": anyText, "cluster": yesNo,
	// go-redis'
	"db": number, "protocol": number, "client_name": anyText, "pool_fifo": yesNo, "pool_size": number, "max_concurrent_dials": number,
	"min_idle_conns": number, "max_idle_conns": number, "max_active_conns": number, "conn_max_idle_time": duration,
	"conn_max_lifetime": duration, "conn_max_lifetime_jitter": duration, "pipeline_pool_size": number,
	"pipeline_read_buffer_size": number, "pipeline_write_buffer_size": number, "addr": anyText, "master_name": anyText,
	"username": anyText, "password": anyText, "failing_timeout_seconds": number, "idle_timeout": duration, "max_conn_age": duration,
	"disableIdentity": yesNo, "identitySuffix": anyText, "unstable_resp3": yesNo,
}

// onlyFor has the parameters that go-redis knows for some shapes only.
var onlyFor = map[string][]shape{
	"username": {sentinel}, "password": {sentinel}, "disableIdentity": {sentinel}, "identitySuffix": {sentinel}, "unstable_resp3": {sentinel},
	"db": {single, sentinel}, "failing_timeout_seconds": {cluster}, "idle_timeout": {single}, "max_conn_age": {single},
}

// refused has the parameters of go-redis that must not be set, with the reason.
var refused = map[string]string{
	"read_only":                   readsReplicas,
	"route_by_latency":            readsReplicas,
	"route_by_latency_tolerance":  readsReplicas,
	"route_randomly":              readsReplicas,
	"replica_only":                readsReplicas,
	"use_disconnected_replicas":   readsReplicas,
	"max_retries":                 setsWaits,
	"min_retry_backoff":           setsWaits,
	"max_retry_backoff":           setsWaits,
	"max_redirects":               setsWaits,
	"dial_timeout":                setsWaits,
	"dialer_retries":              setsWaits,
	"dialer_retry_timeout":        setsWaits,
	"read_timeout":                setsWaits,
	"write_timeout":               setsWaits,
	"pool_timeout":                setsWaits,
	"context_timeout_enabled":     setsWaits,
	"skip_verify":                 "it would accept any server; name its authority with ca_file instead",
	"insecure_skip_verify":        "it would accept any server; name its authority with ca_file instead",
	"client_side_cache":           "keys have a cache of their own here",
	"maint_notifications_enabled": "it is not supported",
}

const (
	readsReplicas = "a replica may not know of a revocation yet; only primaries are read"
	setsWaits     = "retries and time-outs are set by this program, which depends on them"
)

// parseTarget reads a URL. It reads the files that the URL names, to check them; they are read
// again for each connection. It dials nothing.
func parseTarget(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the redis URL cannot be read: it looks like redis://user:password@host:6379/0, and characters such as / # ? % in the password must be percent-encoded, or the password be put into a file named by password_file")
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	case "":
		return nil, errors.New("the redis URL has no scheme: it begins with redis://, rediss:// or unix://")
	default:
		return nil, errors.New("the redis URL has a scheme that is not known: it begins with redis://, rediss:// or unix://")
	}
	if u.Fragment != "" || !strings.HasPrefix(raw[len(u.Scheme):], "://") {
		return nil, errors.New("the redis URL cannot be read: " +
			"percent-encode # in its password, and write // after the scheme")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the parameters of the redis URL cannot be read")
	}
	t := &target{unix: u.Scheme == "unix", name: u.Scheme + "://" + u.Host}
	// With master_name, addr means further Sentinels, so it is checked first.
	switch {
	case q.Has("master_name"):
		t.shape = sentinel
	case q.Has("addr"):
		t.shape = cluster
	default:
		if is, _ := strconv.ParseBool(q.Get("cluster")); is {
			t.shape = cluster
		}
	}
	if t.unix {
		t.name = "unix://" + u.Path
	}
	if err := checkParams(t, q); err != nil {
		return nil, err
	}
	if t.unix && t.shape != single {
		return nil, errors.New("the redis URL names a unix socket, which is neither a Sentinel nor a Cluster")
	}
	// An @ there ends a password that contains a slash.
	if t.unix && (u.Path == "" || u.Host != "" || strings.Contains(u.Path, "@")) {
		return nil, errors.New("the redis URL names no socket: it looks like unix:///run/redis/redis.sock")
	}
	if t.tls, err = newTLSFiles(u, q); err != nil {
		return nil, err
	}
	passwordFile := q.Get("password_file")
	if err := checkPasswordFile(u, q, t.shape); err != nil {
		return nil, err
	}
	for _, own := range []string{"ca_file", "cert_file", "key_file", "password_file", "cluster"} {
		q.Del(own)
	}
	u.RawQuery = q.Encode()
	if err := t.parse(u.String()); err != nil {
		// The error of go-redis quotes the URL with its password.
		return nil, errors.New("the redis URL cannot be read: check its host, its port, the database after the last / (a number) and its parameters")
	}
	if passwordFile != "" {
		t.setPasswordFile(passwordFile)
	}
	return t, nil
}

func (t *target) parse(u string) (err error) {
	switch t.shape {
	case sentinel:
		t.sentinel, err = redis.ParseFailoverURL(u)
	case cluster:
		t.cluster, err = redis.ParseClusterURL(u)
	default:
		t.single, err = redis.ParseURL(u)
	}
	return err
}

// checkParams reports the first wrong parameter. It shows the name of a known parameter only: in a
// mistyped URL, part of a password may be in the place of a name.
func checkParams(t *target, q url.Values) error {
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if why, bad := refused[name]; bad {
			return fmt.Errorf("the redis URL must not set %s: %s", name, why)
		}
		kind, known := params[name]
		if !known {
			return fmt.Errorf("the redis URL has a parameter that is not known (allowed: %s)", strings.Join(allowed(), ", "))
		}
		if (name == "username" || name == "password") && t.shape != sentinel {
			return fmt.Errorf("the redis URL must not set %s without master_name: it stands before the @", name)
		}
		if shapes, some := onlyFor[name]; some && !slices.Contains(shapes, t.shape) {
			return fmt.Errorf("the redis URL must not set %s: it means nothing to this kind of Redis", name)
		}
		for _, v := range q[name] {
			// -1: no pool of its own for pipelines.
			if !validValue(kind, v) && (name != "pipeline_pool_size" || v != "-1") {
				return fmt.Errorf("the redis URL sets %s to something that is not %s", name, kind)
			}
		}
	}
	if q.Has("master_name") && q.Get("master_name") == "" {
		return errors.New("the redis URL sets master_name to nothing")
	}
	for _, a := range q["addr"] {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return errors.New("the redis URL sets addr to something that is not host:port")
		}
	}
	return nil
}

func allowed() []string {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// validValue reports whether go-redis can read v as a value of that type. Nothing is the default.
// Numbers count connections or bytes; go-redis panics on some absurdly large ones.
func validValue(kind, v string) bool {
	if v == "" {
		return true
	}
	switch kind {
	case number:
		n, err := strconv.Atoi(v)
		return err == nil && 0 <= n && n <= 1<<20
	case yesNo:
		return slices.Contains([]string{"true", "false", "1", "0"}, v)
	case duration:
		if n, err := strconv.Atoi(v); err == nil {
			return n <= math.MaxInt32
		}
		_, err := time.ParseDuration(v)
		return err == nil
	}
	return true
}
