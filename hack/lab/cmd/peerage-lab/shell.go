//go:build linux

package main

import (
	"fmt"
	"strings"

	"github.com/peerage/peerage/hack/lab"
)

// shellRC is the start-up file of the shell: every node's name is a command
// that runs its arguments on the node; birdc, vtysh and gobgp find the node's
// BIRD, FRR or GoBGP.
func shellRC(l *lab.Lab, bin string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "export PATH=%s:$PATH PEERAGE_SERVER=%s\n", bin, strings.Join(l.Topology.API(), ","))
	for _, n := range l.Topology.Nodes() {
		fmt.Fprintf(&b, "%s() { lab_on %[1]s \"$@\"; }\n", n.Name)
	}
	b.WriteString(`lab_on() {
  local node=$1; shift
  case ${1:-} in
    "") set -- bash --rcfile ` + lab.Root + `/node.rc -i ;;
    birdc) shift; set -- birdc -s ` + lab.Root + `/$node/bird.ctl "$@" ;;
    vtysh) shift; set -- vtysh --vty_socket ` + lab.Root + `/$node "$@" ;;
    gobgp) shift; set -- gobgp --target unix://` + lab.Root + `/$node/gobgp.sock "$@" ;;
    log) set -- tail -n 50 -f ` + lab.Root + `/$node/*.log ;;
  esac
  LAB_NODE=$node ip netns exec "$node" "$@"
}
echo 'PS1="$LAB_NODE# "' > ` + lab.Root + `/node.rc
source <(peeragectl completion bash 2>/dev/null) 2>/dev/null
PS1='lab# '
cat <<'EOF'

  peeragectl status           what the controllers say        peeragectl depool rs-2 --reason maintenance
  peerage-lab sessions        the customers' sessions         peerage-lab tables     every LB's IPVS table
  peerage-lab kill lb-1       a power cut                     peerage-lab boot lb-1
  lb-1 ipvsadm -Ln            a command on a node             c-001 birdc show protocols
  rt ip route                 the fabric's view               rs-1                   a shell on a node
  peerage-lab nodes           who there is                    lb-1 log               follow a node's logs
  exit                        end of the lab

EOF
`)
	return b.String()
}
