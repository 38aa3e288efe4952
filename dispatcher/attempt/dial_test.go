package attempt

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// network is a resolver and a dialer: names resolve as the test says, and each dial goes to one
// real address.
type network struct {
	names  map[string][][]string // by host: its results, one after another; the last one stays
	target string                // the address of every connection; empty: refused

	mu     sync.Mutex
	dialed []string
	asked  int
}

func (n *network) options(o *Options) {
	o.Resolve, o.Dial = n.resolve, n.dial
}

func (n *network) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	answers := n.names[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var ips []netip.Addr
	for _, a := range answers[0] {
		ips = append(ips, netip.MustParseAddr(a))
	}
	if len(answers) > 1 {
		n.names[host] = answers[1:]
	}
	return ips, nil
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, addr)
	n.mu.Unlock()
	if n.target == "" {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return new(net.Dialer).DialContext(ctx, network, n.target)
}

// The addresses to which a name resolves are checked when they are dialled.
func TestAddresses(t *testing.T) {
	plain := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	allowHTTP := &address.Policy{AllowHTTP: true}
	for name, c := range map[string]struct {
		url     string
		answers []string
		dialed  []string // nil: the attempt is blocked; otherwise it is acknowledged
	}{
		"public":                        {"http://hooks.example.com", []string{"93.184.216.34"}, []string{"93.184.216.34:80"}},
		"public, IPv6":                  {"http://hooks.example.com", []string{"2606:4700::1111"}, []string{"[2606:4700::1111]:80"}},
		"public, mapped":                {"http://hooks.example.com", []string{"::ffff:93.184.216.34"}, []string{"93.184.216.34:80"}},
		"odd port":                      {"http://hooks.example.com:2525", []string{"93.184.216.34"}, []string{"93.184.216.34:2525"}},
		"international":                 {"http://bücher.example", []string{"93.184.216.34"}, []string{"93.184.216.34:80"}},
		"loopback":                      {"http://hooks.example.com", []string{"127.0.0.1"}, nil},
		"loopback, IPv6":                {"http://hooks.example.com", []string{"::1"}, nil},
		"loopback, mapped":              {"http://hooks.example.com", []string{"::ffff:127.0.0.1"}, nil},
		"private":                       {"http://hooks.example.com", []string{"10.1.2.3"}, nil},
		"unique local":                  {"http://hooks.example.com", []string{"fd00::1"}, nil},
		"carrier grade":                 {"http://hooks.example.com", []string{"100.64.1.1"}, nil},
		"link local":                    {"http://hooks.example.com", []string{"169.254.1.1"}, nil},
		"metadata":                      {"http://hooks.example.com", []string{"169.254.169.254"}, nil},
		"metadata, IPv6":                {"http://hooks.example.com", []string{"fd00:ec2::254"}, nil},
		"metadata of Azure":             {"http://hooks.example.com", []string{"168.63.129.16"}, nil},
		"NAT64":                         {"http://hooks.example.com", []string{"64:ff9b::7f00:1"}, nil},
		"6to4":                          {"http://hooks.example.com", []string{"2002:7f00:1::"}, nil},
		"unspecified":                   {"http://hooks.example.com", []string{"0.0.0.0"}, nil},
		"broadcast":                     {"http://hooks.example.com", []string{"255.255.255.255"}, nil},
		"multicast":                     {"http://hooks.example.com", []string{"224.0.0.1"}, nil},
		"with a zone":                   {"http://hooks.example.com", []string{"fe80::1%eth0"}, nil},
		"mixed, the refused one first":  {"http://hooks.example.com", []string{"127.0.0.1", "93.184.216.34"}, []string{"93.184.216.34:80"}},
		"mixed, the refused one second": {"http://hooks.example.com", []string{"93.184.216.34", "10.0.0.1"}, []string{"93.184.216.34:80"}},
		"mixed families":                {"http://hooks.example.com", []string{"::1", "93.184.216.34"}, []string{"93.184.216.34:80"}},
		"several, none allowed":         {"http://hooks.example.com", []string{"127.0.0.1", "::1", "10.0.0.1"}, nil},
		"literal":                       {"http://127.0.0.1", nil, nil},
		"literal, IPv6":                 {"http://[::1]", nil, nil},
		"literal, mapped":               {"http://[::ffff:127.0.0.1]", nil, nil},
		"localhost":                     {"http://localhost", []string{"127.0.0.1"}, nil},
		"a local name":                  {"http://hooks.internal", []string{"93.184.216.34"}, nil},
		"literal, public":               {"http://93.184.216.34", nil, []string{"93.184.216.34:80"}},
		"decimal literal":               {"http://2130706433", nil, nil},
		"octal literal":                 {"http://0177.0.0.1", nil, nil},
		"userinfo":                      {"http://TOKEN@hooks.example.com", []string{"93.184.216.34"}, nil},
		"another scheme":                {"ftp://hooks.example.com", []string{"93.184.216.34"}, nil},
		"no URL":                        {"://TOKEN", nil, nil},
		"nothing":                       {"", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := &network{names: map[string][][]string{"hooks.example.com": {c.answers}, "xn--bcher-kva.example": {c.answers}}, target: plain.Addr()}
			s := newSender(t, nil, func(o *Options) { o.Policy = allowHTTP }, n.options)
			got := send(t, s, to(c.url, ""))
			if diff := cmp.Diff(c.dialed, n.dialed); diff != "" {
				t.Errorf("dialled: %s", diff)
			}
			// The resolver of a name may err, so the next attempt may succeed. A URL stays what it
			// is.
			byName := strings.HasPrefix(c.url, "http://hooks.example.com")
			if c.dialed == nil && (got.Class != Blocked || got.BlockedURL == byName || got.ConnectFailed != byName || got.Error == "") {
				t.Errorf("%+v", got)
			}
			if c.dialed != nil && !got.Acknowledged {
				t.Errorf("%+v", got)
			}
		})
	}
	if plain.Count() != plain.Conns() {
		t.Error("a connection was made without a request")
	}
}

func TestPlainHTTPIsBlockedUnlessAllowed(t *testing.T) {
	n := &network{names: map[string][][]string{"hooks.example.com": {{"93.184.216.34"}}}}
	s := newSender(t, nil, func(o *Options) { o.Policy = nil }, n.options)
	if got := send(t, s, to("http://hooks.example.com", "")); got.Class != Blocked || n.asked+len(n.dialed) > 0 {
		t.Errorf("%+v, %v", got, n.dialed)
	}
}

// A name resolves to a public address first and to loopback then (DNS rebinding): each connection
// is checked by the addresses that it dials.
func TestRebinding(t *testing.T) {
	plain := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	n := &network{names: map[string][][]string{"hooks.example.com": {{"93.184.216.34"}, {"127.0.0.1"}}}, target: plain.Addr()}
	s := newSender(t, nil, func(o *Options) { o.Policy = &address.Policy{AllowHTTP: true} }, n.options)
	r := to("http://hooks.example.com", "")
	r.NoReuse = true
	if got := send(t, s, r); !got.Acknowledged {
		t.Fatalf("%+v", got)
	}
	if got := send(t, s, r); got.Class != Blocked || got.BlockedURL || !strings.Contains(got.Error, "hooks.example.com") {
		t.Errorf("%+v", got)
	}
	if n.asked != 2 || plain.Count() != 1 {
		t.Errorf("asked %d times, %d requests", n.asked, plain.Count())
	}
}

// A dial that bypasses the check after resolving is refused at the socket.
func TestAddressIsCheckedAtTheSocket(t *testing.T) {
	plain := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	s := newSender(t, nil, func(o *Options) { o.Policy = nil })
	_, err := s.options.Dial(t.Context(), "tcp", plain.Addr())
	var blocked *blockedError
	if !errors.As(err, &blocked) || plain.Conns() > 0 {
		t.Errorf("%v", err)
	}
}

func TestResolverErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err          error
		class, words string
	}{
		"unknown":      {&net.DNSError{Err: "no such host", Name: "TOKEN", IsNotFound: true}, DNS, "the name hooks.example.com does not resolve"},
		"server fails": {&net.DNSError{Err: "server misbehaving", Server: "TOKEN"}, DNS, "the name server could not resolve hooks.example.com"},
		"no address":   {nil, DNS, "does not resolve"},
	} {
		s := newSender(t, nil, func(o *Options) {
			o.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, c.err }
		})
		if got := send(t, s, to("https://hooks.example.com", "")); got.Class != c.class || !strings.Contains(got.Error, c.words) || !got.ConnectFailed {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestFileDescriptorsDoNotCountAgainstTheHost(t *testing.T) {
	s := newSender(t, nil, func(o *Options) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.EMFILE}
		}
	})
	if got := send(t, s, to("https://127.0.0.1", "")); got.Class != Other || got.ConnectFailed {
		t.Errorf("%+v", got)
	}
}

// The next address is tried when one fails or takes too long.
func TestDialParallel(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for name, c := range map[string]struct {
		dial func(ctx context.Context, addr string) (net.Conn, error)
		want error
	}{
		"the second where the first fails": {func(_ context.Context, addr string) (net.Conn, error) {
			if addr == "a" {
				return nil, refused
			}
			return ours, nil
		}, nil},
		"the second where the first hangs": {func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == "a" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return ours, nil
		}, nil},
		"the first error where all fail": {func(_ context.Context, addr string) (net.Conn, error) {
			if addr == "a" {
				return nil, refused
			}
			return nil, errors.New("another")
		}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, nil, func(o *Options) {
				o.Dial = func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dial(ctx, addr) }
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, err := s.dialParallel(ctx, "tcp", []string{"a", "b", "c"})
			if !errors.Is(err, c.want) || (conn == nil) == (c.want == nil) {
				t.Errorf("%v, %v", conn, err)
			}
		})
	}
}
