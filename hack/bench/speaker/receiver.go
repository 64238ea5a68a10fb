package speaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// receiver is a session that is sent routes. It knows for each prefix whose
// path it has, and whether that is the best.
type receiver struct {
	*session
	table *table

	mu      sync.Mutex
	have    []uint8 // by prefix: feed+1, 0 for none
	want    []uint8 // shared by all receivers
	correct int
	doneAt  time.Time // when the last prefix became correct
	done    chan struct{}
	got     traffic
}

// traffic is what a receiver was sent.
type traffic struct {
	updates, announced, withdrawn int64
	first                         time.Time
}

func newReceiver(s *session, t *table, want []uint8) *receiver {
	r := &receiver{session: s, table: t, have: make([]uint8, t.n)}
	r.expect(want)
	r.run(r.update)
	return r
}

// expect sets what is correct from now on and counts traffic anew.
func (r *receiver) expect(want []uint8) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.want, r.correct, r.got, r.doneAt, r.done = want, 0, traffic{}, time.Time{}, make(chan struct{})
	for i, w := range want {
		if r.have[i] == w {
			r.correct++
		}
	}
	r.check()
}

func (r *receiver) check() {
	if r.correct == len(r.want) && r.doneAt.IsZero() {
		r.doneAt = time.Now()
		close(r.done)
	}
}

// split is bgp.DecodeUpdate without the look at every attribute: receivers
// share the machine with the speaker that is measured.
func split(body []byte) (withdrawn, attributes, nlri []byte, ok bool) {
	withdrawn, rest, ok := counted(body)
	if !ok {
		return nil, nil, nil, false
	}
	attributes, nlri, ok = counted(rest)
	return withdrawn, attributes, nlri, ok
}

// counted takes off what two octets give the length of.
func counted(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(b[0])<<8 + int(b[1])
	if n > len(b) {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}

func (r *receiver) update(body []byte) error {
	withdrawn, attributes, nlri, ok := split(body)
	if !ok {
		return fmt.Errorf("UPDATE % x is cut short", body)
	}
	if len(withdrawn) == 0 && len(nlri) == 0 {
		return nil // End-of-RIB
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got.first.IsZero() {
		r.got.first = time.Now()
	}
	r.got.updates++
	n, err := r.take(withdrawn, 0)
	r.got.withdrawn += int64(n)
	if err != nil {
		return err
	}
	if len(nlri) > 0 {
		feed, err := whose(attributes)
		if err != nil {
			return err
		}
		n, err = r.take(nlri, feed)
		r.got.announced += int64(n)
		if err != nil {
			return err
		}
	}
	r.check()
	return nil
}

// whose reads from the next hop which feed a path is of, as feed+1.
func whose(attributes []byte) (uint8, error) {
	for b := attributes; len(b) >= 3; {
		head, n := 3, int(b[2])
		if b[0]&bgp.FlagExtended != 0 && len(b) >= 4 {
			head, n = 4, n<<8|int(b[3])
		}
		if len(b) < head+n {
			break
		}
		if b[1] == byte(bgp.AttrNextHop) && n == 4 {
			return b[head+3], nil
		}
		b = b[head+n:]
	}
	return 0, errors.New("an UPDATE has no next hop")
}

// take notes the path of every prefix.
func (r *receiver) take(nlri []byte, feed uint8) (n int, err error) {
	for len(nlri) > 0 {
		length := nlri[0]
		octets := int(length+7) / 8
		if octets > 3 || octets > len(nlri)-1 {
			return n, fmt.Errorf("a prefix of length %d was never announced", length)
		}
		var addr uint32
		for i := range octets {
			addr |= uint32(nlri[1+i]) << (24 - 8*i)
		}
		nlri = nlri[1+octets:]
		i := r.table.plan.index(addr, length)
		if i < 0 || i >= len(r.have) {
			return n, fmt.Errorf("prefix %08x/%d was never announced", addr, length)
		}
		want := r.want[i]
		if r.have[i] == want {
			r.correct--
		}
		if feed == want {
			r.correct++
		}
		r.have[i] = feed
		n++
	}
	return n, nil
}

// receivers are those of one work.
type receivers []*receiver

func (rs receivers) expect(want []uint8) {
	for _, r := range rs {
		r.expect(want)
	}
}

// await waits until all of them have what they want, and tells when the last
// one had. A failure of anybody else ends it.
func (rs receivers) await(ctx context.Context, others <-chan error) (last time.Time, err error) {
	for _, r := range rs {
		select {
		case <-r.done:
		case err := <-r.failed:
			return last, err
		case err := <-others:
			return last, err
		case <-ctx.Done():
			return last, fmt.Errorf("%w: %s", ctx.Err(), rs.wrong())
		}
		r.mu.Lock()
		if r.doneAt.After(last) {
			last = r.doneAt
		}
		r.mu.Unlock()
	}
	return last, nil
}

// settled is an error when a receiver has lost a correct path again.
func (rs receivers) settled() error {
	for _, r := range rs {
		r.mu.Lock()
		ok := r.correct == len(r.want)
		r.mu.Unlock()
		if !ok {
			return errors.New(rs.wrong())
		}
		select {
		case err := <-r.failed:
			return err
		default:
		}
	}
	return nil
}

// wrong counts what is wrong at all receivers.
func (rs receivers) wrong() string {
	missing, other, total := 0, 0, 0
	for _, r := range rs {
		r.mu.Lock()
		for i, have := range r.have {
			switch have {
			case r.want[i]:
			case 0:
				missing++
			default:
				other++
			}
		}
		total += len(r.want)
		r.mu.Unlock()
	}
	return fmt.Sprintf("of %d prefixes at the receivers %d are missing and %d have another path than the best", total, missing, other)
}

// traffic sums up what all were sent.
func (rs receivers) traffic() (sum traffic) {
	for _, r := range rs {
		r.mu.Lock()
		sum.updates += r.got.updates
		sum.announced += r.got.announced
		sum.withdrawn += r.got.withdrawn
		if sum.first.IsZero() || r.got.first.Before(sum.first) {
			sum.first = r.got.first
		}
		r.mu.Unlock()
	}
	return sum
}
