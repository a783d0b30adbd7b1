package dhcp

import "time"

// timing holds every constant of time. Tests shorten them; defaultTiming is what runs.
type timing struct {
	first, ceiling time.Duration // back-off: the first wait, and the longest (RFC 2131 section 4.1)
	jitter         time.Duration // each wait is longer or shorter by up to this much
	requests       int           // DHCPREQUESTs without an answer before starting again
	reboots        int           // the same in INIT-REBOOT
	renewFloor     time.Duration // shortest wait between two tries to renew (RFC 2131 section 4.4.5)

	probes   int           // ARP probes before an address is used
	probeGap time.Duration // between two of them
	window   time.Duration // from the first probe until the address counts as free
	beats    []beat        // what is sent after binding
	early    time.Duration // a conflict this soon after binding is declined (RFC 5227 section 2.1.1)

	nakFirst, nakCeiling           time.Duration // wait after the second NAK in a row, and the longest
	conflictWait, conflictLongWait time.Duration // wait after a conflict, and after maxConflicts
	poll                           time.Duration // between two looks at an interface that is down
}

// beat is one ARP packet that is due some time after binding.
type beat struct {
	after    time.Duration
	announce bool // a gratuitous ARP; else a probe
}

// maxConflicts is MAX_CONFLICTS of RFC 5227 section 1.1.
const maxConflicts = 10

// defaultTiming keeps to the RFCs but for one thing: RFC 5227 wants 4 to 7 s of probing before an
// address is used. An interface must answer within 50 ms, so 20 ms of it come before and the rest after.
func defaultTiming() timing {
	return timing{
		first: 4 * time.Second, ceiling: 64 * time.Second, jitter: time.Second,
		requests: 3, reboots: 2, renewFloor: time.Minute,
		probes: 3, probeGap: 6 * time.Millisecond, window: 20 * time.Millisecond,
		beats: []beat{
			{after: 0, announce: true},
			{after: 1500 * time.Millisecond},
			{after: 2 * time.Second, announce: true},
			{after: 3 * time.Second},
		},
		early:    5 * time.Second,
		nakFirst: 2 * time.Second, nakCeiling: 64 * time.Second,
		conflictWait: 10 * time.Second, conflictLongWait: time.Minute,
		poll: time.Second,
	}
}

// backoff is the wait after the given try, the first being 0: 4, 8, 16, 32, 64, 64 … s, each ± 1 s
// (RFC 2131 section 4.1). random returns a number in [0,n).
func (t timing) backoff(try int, random func(n int64) int64) time.Duration {
	wait := doubled(t.first, t.ceiling, try)
	return wait - t.jitter + time.Duration(random(int64(2*t.jitter)+1))
}

// nakWait is the pause before INIT after NAKs in a row; the first costs nothing, since it is the
// ordinary answer to a lease that is out of date.
func (t timing) nakWait(naks int) time.Duration {
	if naks <= 1 {
		return 0
	}
	return doubled(t.nakFirst, t.nakCeiling, naks-2)
}

// conflictPause is at least 10 s (RFC 2131 section 3.1.5), and a minute once it happens again and
// again (RFC 5227 section 2.1.1).
func (t timing) conflictPause(conflicts int) time.Duration {
	if conflicts >= maxConflicts {
		return t.conflictLongWait
	}
	return t.conflictWait
}

// renewWait is half of what is left until T2 or the end, but not less than a minute (RFC 2131
// section 4.4.5), or than a quarter of span, the whole of T1 to T2, when that is shorter.
func (t timing) renewWait(left, span time.Duration) time.Duration {
	floor := min(t.renewFloor, span/4)
	return max(min(max(left/2, floor), left), 10*time.Millisecond)
}

// splitTimes returns T1 and T2 of a lease: what the server said when 0 < T1 < T2 < lease, else
// 0.5 and 0.875 of the lease (RFC 2131 section 4.4.5). 0 means that the server said nothing.
func splitTimes(lease, t1, t2 time.Duration) (renew, rebind time.Duration) {
	if lease == Infinite {
		return Infinite, Infinite
	}
	renew, rebind = t1, t2
	if renew == 0 {
		renew = lease / 2
	}
	if rebind == 0 {
		rebind = lease / 8 * 7
	}
	if renew <= 0 || renew >= rebind || rebind >= lease {
		return lease / 2, lease / 8 * 7
	}
	return renew, rebind
}

// doubled returns first × 2^n, at most ceiling.
func doubled(first, ceiling time.Duration, n int) time.Duration {
	for ; n > 0 && first < ceiling; n-- {
		first *= 2
	}
	return min(first, ceiling)
}
