package usage

// IdleAfter is how long a counter must be idle to leave the memory.
const IdleAfter = idleAfter

// Live returns how many counters there are.
func (u *Counters) Live() int { return len(u.all()) }

// RetireWritten retires the counters whose totals are in Redis, as Flush does with idle ones.
func (u *Counters) RetireWritten() {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	for _, c := range u.all() {
		if n := c.total(); n == c.acked.Load() && u.retire(c, n) {
			u.removing = append(u.removing, c)
		}
	}
}
