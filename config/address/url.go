package address

// This file judges the text of a URL.

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// MaxURLLength is the longest URL a webhook may have, in bytes.
const MaxURLLength = 2048

// maxLabel is how long a part of a name may be, in bytes (RFC 1035).
const maxLabel = 63

// localSuffixes end names that mean this machine or this network (RFC 6761, RFC 6762, RFC 8375,
// ICANN's .internal).
var localSuffixes = []string{".localhost", ".local", ".internal", ".home.arpa", ".lan", ".localdomain", ".test", ".invalid"}

// hostNames maps names to the form that is looked up in the DNS. Underscores occur in real host
// names, hence no strict rules.
var hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))

// CheckURL says whether a webhook may have this URL, as far as that shows without resolving its
// host. The error is a sentence for whoever typed it; it names the host at most, since URLs may
// hold tokens.
func (p *Policy) CheckURL(raw string) error {
	if raw == "" {
		return errors.New("the URL is missing")
	}
	if len(raw) > MaxURLLength {
		return fmt.Errorf("the URL is longer than %d bytes", MaxURLLength)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c == 0x7f {
			return errors.New("the URL has a space or control character in it")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("this is no URL; it should look like https://api.yourcompany.com/webhooks/tenzo-interviews")
	}
	return p.checkParts(u)
}

func (p *Policy) checkParts(u *url.URL) error {
	switch {
	case u.Scheme == "http" && !p.allowsHTTP():
		return errors.New("the URL must use HTTPS: it begins with http://")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the URL must use HTTPS: it has to begin with https://")
	case u.Opaque != "" || u.Hostname() == "":
		return errors.New("the URL names no host; it should look like https://api.yourcompany.com/webhooks/tenzo-interviews")
	case u.User != nil:
		return errors.New("the URL must not hold a user name or password; use the webhook secret to tell real deliveries from others")
	case u.Fragment != "" || strings.HasSuffix(u.String(), "#"):
		return errors.New("the URL must not have a fragment (the part after #); it would never reach your server")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("the URL has a colon after the host but no port")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("the URL's port must be a number from 1 to 65535")
		}
	}
	return p.checkHost(u.Hostname())
}

// checkHost judges a host that is a name or an address in any notation.
func (p *Policy) checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return p.CheckIP(ip)
	}
	ascii, err := hostNames.ToASCII(host)
	if err != nil || len(ascii) > 253 || strings.ContainsAny(ascii, "/\\%?#@:[]<>^|`{}\"") {
		return errors.New("the URL's host is no valid name")
	}
	// The mapping may have made an address of it: full-width digits and dots, for one.
	if ip, err := netip.ParseAddr(ascii); err == nil {
		return p.CheckIP(ip)
	}
	labels := strings.Split(ascii, ".")
	last := labels[len(labels)-1]
	switch {
	case last == "" && len(labels) > 1 && labels[len(labels)-2] != "":
		return fmt.Errorf("%s ends in a dot; leave it out", ascii)
	case slices.Contains(labels, ""):
		return errors.New("the URL's host is no valid name: each of its parts needs a character at least")
	case slices.ContainsFunc(labels, func(l string) bool { return len(l) > maxLabel }):
		return fmt.Errorf("the URL's host is no valid name: each of its parts may have %d characters at most", maxLabel)
	// 127.1, 2130706433, 0x7f000001, 0177.0.0.1: addresses to some programs, names to others.
	case isNumber(last):
		return fmt.Errorf("%s is an address in an unusual notation; write it as four decimal numbers", ascii)
	case p.allowsLocalNames():
		return nil
	case len(labels) == 1:
		return fmt.Errorf("%s is no public name: it has no dot", ascii)
	}
	for _, suffix := range localSuffixes {
		if strings.HasSuffix(ascii, suffix) {
			return fmt.Errorf("%s is no public name: names under %s mean this machine or its own network", ascii, suffix)
		}
	}
	return nil
}

// isNumber says whether a label is one that the URL standard takes for the last part of an IPv4
// address: digits, or 0x and hex digits.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
