package swarm

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"
)

// changeSink writes changes of state to a file, each at once: somebody may be
// following it.
type changeSink struct {
	mu   sync.Mutex
	file *os.File
	err  error // the first one; nothing is written after it
}

// ChangeLine is one line of the file of changes.
type ChangeLine struct {
	Index  int        `json:"index"`
	Source netip.Addr `json:"source"`
	// Time is the change by the clock on the wall, to be found in other logs.
	Time time.Time `json:"time"`
	Change
}

func newChangeSink(path string) (*changeSink, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &changeSink{file: f}, nil
}

func (c *changeSink) write(r *Record, change Change) {
	line, err := json.Marshal(ChangeLine{r.Index, r.Source, time.Now(), change})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if err == nil {
		_, err = c.file.Write(append(line, '\n'))
	}
	c.err = err
}

func (c *changeSink) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.err, c.file.Close())
}
