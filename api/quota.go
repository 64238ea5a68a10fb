package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Quota is a number of things ("2") or a share of them ("50%").
type Quota struct {
	// N is the number, or the percentage when Percent is set.
	N       int
	Percent bool
}

// Count is the quota as a number of total, rounded up.
func (q Quota) Count(total int) int {
	if !q.Percent {
		return q.N
	}
	return (total*q.N + 99) / 100
}

// Floor is the quota as a number of total, rounded down.
func (q Quota) Floor(total int) int {
	if !q.Percent {
		return q.N
	}
	return total * q.N / 100
}

// String renders the quota as it is written in a file.
func (q Quota) String() string {
	if q.Percent {
		return strconv.Itoa(q.N) + "%"
	}
	return strconv.Itoa(q.N)
}

// MarshalJSON writes a number, or a string that ends in "%".
func (q Quota) MarshalJSON() ([]byte, error) {
	if q.Percent {
		return json.Marshal(q.String())
	}
	return json.Marshal(q.N)
}

// UnmarshalJSON reads what MarshalJSON writes. A plain 0 becomes 0%, which
// means the same, so that it is not taken for a quota that was left out.
func (q *Quota) UnmarshalJSON(data []byte) error {
	text := string(data)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || strconv.Itoa(n) != digits || n < 0 || percent && n > 100 {
		return fmt.Errorf("%q is not a quota; write a number such as 2, or a share such as 50%%", text)
	}
	*q = Quota{N: n, Percent: percent || n == 0}
	return nil
}
