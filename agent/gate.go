package agent

// gateInput is all that the announce gate looks at for one VIP of one pool.
type gateInput struct {
	// Leaving: this LB was told to give the VIP up.
	Leaving bool
	// Silent: the plan in force has no word on this LB and VIP.
	Silent bool
	// Wanted is the plan's word.
	Wanted bool
	// Found: BIRD holds the route now.
	Found bool
	// Prepared: addresses, kernel parameters and connection sync are in place.
	Prepared bool
	// Equal: the kernel's table, as dumped, has the plan's fingerprint.
	Equal bool
	// Serving counts destinations with a weight.
	Serving int
	// Warm: the connection table may be relied on for this VIP.
	Warm bool
	// Sick: full rounds in a row could not make the table equal.
	Sick bool
	// Others: another live LB announces the VIP.
	Others bool
	// Believed: the store is taken at its word, so that Others is known.
	Believed bool
}

// gateReason says why a VIP is or is not announced. It is a label of a metric.
type gateReason string

const (
	gateOpen    gateReason = "open"
	gateKept    gateReason = "kept"
	gateLeaving gateReason = "leaving"
	gatePlan    gateReason = "plan"
	gateSilent  gateReason = "silent"
	gateHost    gateReason = "host"
	gateTable   gateReason = "table"
	gateEmpty   gateReason = "empty"
	gateWarming gateReason = "warming"
	gateSick    gateReason = "sick"
)

// gateReasons lists the reasons for the one-hot metric.
func gateReasons() []gateReason {
	return []gateReason{gateOpen, gateKept, gateLeaving, gatePlan, gateSilent, gateHost, gateTable, gateEmpty, gateWarming, gateSick}
}

// text is the reason in words for people; empty when the VIP is announced.
func (r gateReason) text() string {
	switch r {
	case gateLeaving:
		return "this load balancer was told to give the VIP up"
	case gatePlan:
		return "withdrawn by the plan"
	case gateSilent:
		return "the plan does not speak of this load balancer"
	case gateHost:
		return "addresses, kernel parameters or connection sync are not in place"
	case gateTable:
		return "the kernel's table differs from the plan"
	case gateEmpty:
		return "no real server has a weight"
	case gateWarming:
		return "the connection table is warming up"
	case gateSick:
		return "the kernel's table cannot be made equal to the plan, and another load balancer announces"
	}
	return ""
}

// gate decides whether a VIP is announced. It opens only when everything under
// the VIP is up and was read back. Once open it has a hysteresis: a difference
// in the middle of a change, a store that is away, a pool whose servers all
// died are no reasons to move customers. It closes on a word (the plan, or
// being told to leave), or when this kernel is sick and others are not.
func gate(in gateInput) (announce bool, reason gateReason) {
	switch {
	case in.Leaving:
		return false, gateLeaving
	case in.Silent && in.Found && in.Warm:
		return true, gateKept
	case in.Silent:
		return false, gateSilent
	case !in.Wanted:
		return false, gatePlan
	}
	ready, why := ready(in)
	switch {
	case ready:
		return true, gateOpen
	case !in.Found:
		return false, why
	case !in.Warm:
		// A route that outlived a reboot: BIRD read it from its file before
		// there was a table under it.
		return false, why
	case in.Sick && in.Others && in.Believed:
		return false, gateSick
	}
	return true, gateKept
}

func ready(in gateInput) (bool, gateReason) {
	switch {
	case !in.Prepared:
		return false, gateHost
	case !in.Equal:
		return false, gateTable
	case in.Serving == 0:
		return false, gateEmpty
	case !in.Warm:
		return false, gateWarming
	}
	return true, gateOpen
}
