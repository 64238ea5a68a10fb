package zaplog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
)

// etcd's messages come through with their fields, and quieter than they were.
func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := New(hclog.New(&hclog.LoggerOptions{Name: "etcd", Output: &out, Level: hclog.Debug, DisableTime: true}))
	log.Debug("not seen")
	log.Info("member", zap.String("name", "a"), zap.Int("term", 2))
	log.With(zap.Bool("tls", true)).Warn("slow")
	log.Error("lost", zap.Error(errors.New("broken pipe")))
	want := `[DEBUG] etcd: member: name=a term=2
[DEBUG] etcd: slow: tls=true
[WARN]  etcd: lost: error="broken pipe"
`
	if out.String() != want {
		t.Errorf("log:\n%swant:\n%s", out.String(), want)
	}
}
