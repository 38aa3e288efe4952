package address

// This file judges resolved addresses. The tables of IANA's special-purpose registries come from
// code.dny.dev/ssrf, which generates them.

import (
	"fmt"
	"net/netip"

	"code.dny.dev/ssrf"
)

// azurePlatform answers to virtual machines of Azure with their platform's secrets, from a range
// that is public.
var azurePlatform = netip.MustParseAddr("168.63.129.16")

// CheckIP says whether a connection to a resolved address may be made. An IPv4 address written as
// IPv6 (::ffff:a.b.c.d) is judged as the IPv4 address it is. The error names the address and why it
// is refused.
func (p *Policy) CheckIP(ip netip.Addr) error {
	if ip.Zone() != "" {
		return fmt.Errorf("%s is refused: it is an address with a zone, of this network only", ip)
	}
	ip = ip.Unmap()
	if !ip.IsValid() {
		return fmt.Errorf("the address is refused: it is none")
	}
	if p.allowsIP(ip) {
		return nil
	}
	if why := refused(ip); why != "" {
		return fmt.Errorf("%s is refused: it is %s; only public addresses are dialled", ip, why)
	}
	return nil
}

// refused says what is wrong with ip, or nothing where it is a public unicast address.
func refused(ip netip.Addr) string {
	switch {
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsUnspecified():
		return "the unspecified address"
	case ip.IsPrivate():
		return "a private address"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	case ip.IsMulticast():
		return "a multicast address"
	case ip == azurePlatform:
		return "a cloud platform's own address"
	case ip.Is4():
		return inSpecialRange(ip, ssrf.IPv4DeniedPrefixes)
	// NAT64, fec0::/10, 5f00::/16, ::127.0.0.1 and all that is still unassigned.
	case !ssrf.IPv6GlobalUnicast.Contains(ip):
		return "not in the public range 2000::/3"
	}
	return inSpecialRange(ip, ssrf.IPv6DeniedPrefixes)
}

func inSpecialRange(ip netip.Addr, ranges []netip.Prefix) string {
	for _, r := range ranges {
		if r.Contains(ip) {
			return "in the special-purpose range " + r.String()
		}
	}
	return ""
}
