// Package zaplog hands what etcd logs through zap on to hclog.
package zaplog

import (
	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New makes a zap logger that writes to l. etcd is talkative: its levels up to
// warning are debug for us, whose callers tell the operator themselves what an
// outage means.
func New(l hclog.Logger) *zap.Logger { return zap.New(&core{log: l}) }

type core struct{ log hclog.Logger }

// Enabled implements zapcore.LevelEnabler.
func (c *core) Enabled(l zapcore.Level) bool { return c.log.GetLevel() <= level(l) }

func level(l zapcore.Level) hclog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return hclog.Warn
	case l >= zapcore.InfoLevel:
		return hclog.Debug
	}
	return hclog.Trace
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{log: c.log.With(pairs(fields)...)}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(level(e.Level), e.Message, pairs(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }

// pairs renders fields; each is encoded alone, so that its key stays in front.
func pairs(fields []zapcore.Field) []any {
	args := make([]any, 0, 2*len(fields))
	for _, f := range fields {
		e := zapcore.NewMapObjectEncoder()
		f.AddTo(e)
		args = append(args, f.Key, e.Fields[f.Key])
	}
	return args
}
