package address

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestCheckIPLetsOnlyPublicUnicastPass(t *testing.T) {
	allowed := []string{"8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "172.32.0.1", "100.128.0.1", "168.63.129.17"}
	refused := []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1",
		"172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "5f00::1",
		"fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1", "2620:4f:8000::1",
	}
	var strict *Policy
	for _, s := range allowed {
		if err := strict.CheckIP(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range refused {
		if err := strict.CheckIP(netip.MustParseAddr(s)); err == nil {
			t.Errorf("%s was let through", s)
		}
	}
	if err := strict.CheckIP(netip.Addr{}); err == nil {
		t.Error("no address at all was let through")
	}
}

func TestAllowNetworksOpensJustThose(t *testing.T) {
	p := &Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for s, want := range map[string]bool{"127.0.0.1": true, "::ffff:127.9.9.9": true, "fd00::1": true, "10.0.0.1": false, "::1": false, "fe80::1%lo": false, "8.8.8.8": true} {
		if got := p.CheckIP(netip.MustParseAddr(s)) == nil; got != want {
			t.Errorf("%s: allowed %v, want %v", s, got, want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	open := &Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, tc := range []struct {
		url    string
		policy *Policy
		want   string // part of the refusal; empty: allowed
	}{
		{url: "https://api.yourcompany.com/webhooks/tenzo-interviews"},
		{url: "https://api.yourcompany.com:8443/x?token=1"},
		{url: "https://bücher.example/x"},
		{url: "https://my_host.example.com/"},
		{url: "https://8.8.8.8/x"},
		{url: "https://[2606:4700::1111]:8443/"},
		{url: "HTTPS://EXAMPLE.COM/"},
		{url: "", want: "missing"},
		{url: "https://example.com/" + strings.Repeat("a", MaxURLLength), want: "longer"},
		{url: "https://example.com/a b", want: "space"},
		{url: "https://example.com/\x00", want: "control"},
		{url: "http://example.com/", want: "HTTPS"},
		{url: "http://example.com/", policy: open},
		{url: "ftp://example.com/", policy: open, want: "HTTPS"},
		{url: "example.com/x", want: "HTTPS"},
		{url: "https:example.com", want: "no host"},
		{url: "https:///x", want: "no host"},
		{url: "https://:443/", want: "no host"},
		{url: "https://user:pw@example.com/", want: "password"},
		{url: "https://@example.com/", want: "password"},
		{url: "https://example.com/#part", want: "fragment"},
		{url: "https://example.com:/", want: "no port"},
		{url: "https://example.com:0/", want: "port"},
		{url: "https://example.com:65536/", want: "port"},
		{url: "https://example.com:x/", want: "no URL"},
		{url: "https://localhost/", want: "no dot"},
		{url: "https://localhost:9443/", policy: open},
		{url: "https://intranet/", want: "no dot"},
		{url: "https://a.localhost/", want: "no public name"},
		{url: "https://printer.local/", want: "no public name"},
		{url: "https://metadata.google.internal/", want: "no public name"},
		{url: "https://example.com./", want: "dot"},
		{url: "https://127.0.0.1/", want: "loopback"},
		{url: "https://127.0.0.1/", policy: open},
		{url: "https://10.0.0.1/", policy: open, want: "private"},
		{url: "https://169.254.169.254/latest", want: "link-local"},
		{url: "https://[::1]/", want: "loopback"},
		{url: "https://[::ffff:127.0.0.1]/", want: "loopback"},
		{url: "https://[64:ff9b::7f00:1]/", want: "public range"},
		{url: "https://[fe80::1%25lo]/", want: "zone"},
		{url: "https://2130706433/", want: "unusual notation"},
		{url: "https://127.1/", want: "unusual notation"},
		{url: "https://0x7f.0.0.1/", want: "unusual notation"},
		{url: "https://0x7f000001/", want: "unusual notation"},
		{url: "https://0177.0.0.1/", want: "unusual notation"},
		{url: "https://0177.0.0.01/", policy: open, want: "unusual notation"},
		{url: "https://exa%6dple.com/", want: "no URL"},
		{url: "https://１２７.0.0.1/", want: "loopback"},
		{url: "https://127。0。0。1/", want: "loopback"},
		{url: "https://example.com./", want: "ends in a dot"},
		{url: "https://example..com/", want: "at least"},
		{url: "https://.example.com/", want: "at least"},
		{url: "https://example.com../", want: "at least"},
		{url: "https://xn--/", want: "no valid name"},
		{url: "https://" + strings.Repeat("a", 63) + ".example.com/"},
		{url: "https://" + strings.Repeat("a", 64) + ".example.com/", want: "63 characters"},
	} {
		err := tc.policy.CheckURL(tc.url)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%q: %v", tc.url, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%q: %v, want a refusal with %q", tc.url, err, tc.want)
		}
	}
}

func TestRefusalsNameTheHostAtMost(t *testing.T) {
	for _, raw := range []string{"https://localhost/SECRET", "https://u:SECRET@example.com/", "https://10.0.0.1/SECRET?t=SECRET", "http://example.com/SECRET", "https://exa mple/SECRET", "%zzSECRET"} {
		if err := (*Policy)(nil).CheckURL(raw); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// FuzzCheckURL holds that whatever passes for a literal address is a public one, however it is
// spelled.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://0x7f.1/", "https://１２７.0.0.1/", "https://①②⑦.0.0.1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var strict *Policy
		if strict.CheckURL(raw) != nil {
			return
		}
		if !strings.HasPrefix(strings.ToLower(raw), "https://") {
			t.Errorf("%q passed", raw)
		}
	})
}

func TestParseNetworks(t *testing.T) {
	got, err := ParseNetworks([]string{"127.0.0.0/8", "10.1.2.3/16", "fd00::1/8"})
	if want := "[127.0.0.0/8 10.1.0.0/16 fd00::/8]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"", "here", "10.0.0.1", "10.0.0.0/33"} {
		if got, err := ParseNetworks([]string{"127.0.0.0/8", bad}); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
