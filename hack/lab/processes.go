package lab

import (
	"fmt"
	"strings"
)

// Process names.
const (
	ProcEtcd       = "etcd"
	ProcController = "controller"
	ProcAgent      = "agent"
	ProcServer     = "realserver"
	ProcBIRD       = "bird"
	ProcSwarm      = "swarm"
	// ProcSpeaker is a real server's speaker, whichever program that is.
	ProcSpeaker = "speaker"
)

// Processes lists the programs of a node in the order in which they start.
// Bin is the folder of the compiled programs.
func (t Topology) Processes(n Node, bin string) []Process {
	// Each Go program gets one processor, as on a small machine: many of them on
	// a few emulated ones would spend a third of their time on waking each other.
	env := []string{"GOMAXPROCS=1"}
	common := func(program string, more ...string) []string {
		return append([]string{
			bin + "/" + program,
			"--name=" + n.Name, "--etcd=" + t.EtcdEndpoint(), "--state-dir=" + n.File("state"),
			"--log-level=debug", "--metrics-listen=127.0.0.1:9100",
		}, more...)
	}
	switch n.Role {
	case RoleStore:
		return []Process{{Name: ProcEtcd, Env: env, Argv: []string{
			bin + "/etcd", "--name=store", "--data-dir=" + n.File("data"), "--log-level=warn",
			"--listen-client-urls=" + t.EtcdEndpoint(), "--advertise-client-urls=" + t.EtcdEndpoint(),
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=store=http://127.0.0.1:2380",
			// One member, on a machine that is slow at times.
			"--heartbeat-interval=500", "--election-timeout=2500",
		}}}
	case RoleController:
		listen := n.Mgmt.Addr().String() + ":8080"
		return []Process{{Name: ProcController, Env: env, Argv: common("peerage-controller", "--listen="+listen, "--advertise=http://"+listen)}}
	case RoleSwarm:
		return []Process{{Name: ProcSwarm, Env: env, Argv: t.swarmCommand(n, bin), Ready: n.File(swarmControl)}}
	case RoleRouter:
		return []Process{bird(n)}
	case RoleCustomer:
		r, p := t.router(n, bin)
		program := r.Program(p)
		return []Process{{Name: string(n.Router), Env: env, Argv: program.Argv, Ready: program.Ready, After: program.After}}
	case RoleLB:
		return []Process{bird(n), {Name: ProcAgent, Env: env, BootID: true, Argv: common("peerage-agent",
			"--bird-socket="+n.File("bird.ctl"), "--bird-include="+n.File("peerage.conf"), "--secrets-dir="+n.File("secrets"))}}
	case RoleRealServer:
		args, pidFile := t.speaker(n, bin)
		return []Process{
			{Name: ProcServer, Env: env, BootID: true, Argv: common("peerage-realserver", append(args, "--secrets-dir="+n.File("secrets"))...)},
			// The speaker is started by peerage-realserver and outlives it.
			{Name: ProcSpeaker, PIDFile: pidFile},
		}
	}
	return nil
}

// speaker is how a real server is told where its speaker is, and the speaker's
// PID file.
func (t Topology) speaker(n Node, bin string) (args []string, pidFile string) {
	if t.Pool.Speaker == SpeakerBIRD {
		return []string{"--speaker=bird", "--bird-socket=" + n.File("bird.ctl"), "--bird-config=" + n.File("bird.conf"),
			"--bird-pid=" + n.File("bird.pid"), "--bird-binary=/usr/sbin/bird"}, n.File("bird.pid")
	}
	return []string{"--api-listen=" + n.Mgmt.Addr().String() + ":8180", "--speaker-binary=" + bin + "/peerage-speaker", "--speaker-socket=" + n.File("speaker.sock"),
		"--speaker-state-dir=" + n.File("speaker"), "--speaker-log=" + n.File("speaker.log")}, n.File("speaker/peerage-speaker.lock")
}

// bird runs BIRD in the foreground. Where it speaks BFD it runs with real-time
// priority, as BFD must not wait for a busy machine.
func bird(n Node) Process {
	argv := []string{"/usr/sbin/bird", "-f", "-c", n.File("bird.conf"), "-s", n.File("bird.ctl")}
	if n.Role == RoleRouter || n.Role == RoleLB {
		argv = append([]string{"/usr/bin/chrt", "-f", "50"}, argv...)
	}
	return Process{Name: ProcBIRD, Argv: argv, Ready: n.File("bird.ctl")}
}

// Process finds a process by "node/process", as in "lb-1/agent".
func (t Topology) Process(name, bin string) (Node, Process, error) {
	node, proc, _ := strings.Cut(name, "/")
	n, err := t.Node(node)
	if err != nil {
		return Node{}, Process{}, err
	}
	var names []string
	for _, p := range t.Processes(n, bin) {
		if p.Name == proc {
			return n, p, nil
		}
		names = append(names, n.Name+"/"+p.Name)
	}
	return Node{}, Process{}, fmt.Errorf("no process is named %q; node %s has %s", name, n.Name, strings.Join(names, ", "))
}
