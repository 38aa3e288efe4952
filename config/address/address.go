// Package address knows which URLs and network addresses webhooks may go to: public unicast addresses over HTTPS, unless the operator
// allows more for development (contract section 6).
//
// A URL is judged twice. CheckURL looks at its text when it is saved, and again before an attempt, since records are also written
// elsewhere. CheckIP looks at each resolved address when it is dialled, which is what counts: a name may resolve to anything, and to
// something else a moment later.
package address

import "net/netip"

// Policy is what the operator allows beyond public addresses over HTTPS. The zero value, and nil, allow nothing more.
type Policy struct {
	AllowHTTP     bool
	AllowNetworks []netip.Prefix
}

// allowsHTTP says whether plain HTTP will do.
func (p *Policy) allowsHTTP() bool { return p != nil && p.AllowHTTP }

// allowsLocalNames says whether names that mean this machine or this network make sense: only where some network is allowed.
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
