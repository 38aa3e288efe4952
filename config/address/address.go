// Package address knows which URLs and network addresses webhooks may go to: public unicast
// addresses over HTTPS, unless the operator allows more for development (specification.md, section
// 6).
//
// A URL is judged twice. CheckURL looks at its text when it is saved, and again before an attempt,
// since records are also written elsewhere. CheckIP looks at each resolved address when it is
// dialled, which is what counts: a name may resolve to anything, and to something else a moment
// later.
package address

import (
	"fmt"
	"net/netip"
)

// Policy is what the operator allows beyond public addresses over HTTPS. The zero value, and nil,
// allow nothing more.
type Policy struct {
	AllowHTTP     bool
	AllowNetworks []netip.Prefix
}

// ParseNetworks reads networks in CIDR notation, as an operator allows them.
func ParseNetworks(cidrs []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, s := range cidrs {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no network in CIDR notation, such as 127.0.0.0/8", s)
		}
		networks = append(networks, n.Masked())
	}
	return networks, nil
}

// allowsHTTP says whether plain HTTP will do.
func (p *Policy) allowsHTTP() bool { return p != nil && p.AllowHTTP }

// allowsLocalNames says whether names that mean this machine or this network make sense: only where
// some network is allowed.
func (p *Policy) allowsLocalNames() bool { return p != nil && len(p.AllowNetworks) > 0 }

// allowsIP says whether the operator opened a network that ip is in.
func (p *Policy) allowsIP(ip netip.Addr) bool {
	if p == nil {
		return false
	}
	for _, network := range p.AllowNetworks {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}
