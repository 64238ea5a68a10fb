package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

func (a *app) eventsCommand() *cobra.Command {
	var follow bool
	var limit int
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Print the audit trail: who did what, why, and what happened",
		Example: "  peeragectl events --limit 20\n  peeragectl events -f -o json",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			list, err := c.Events(ctx, limit)
			if err != nil && follow {
				return ended(ctx, err)
			}
			if err != nil {
				return err
			}
			if !follow {
				if a.printer.machine() {
					return a.printer.value(orEmpty(list))
				}
				if len(list) > 0 {
					a.printer.print(eventTable(list))
				}
				return nil
			}
			last := ""
			for _, e := range list {
				last = e.ID
				if err := a.printEvent(&e); err != nil {
					return err
				}
			}
			for e, err := range c.WatchEvents(ctx, last) {
				if err != nil {
					return ended(ctx, err)
				}
				if err := a.printEvent(e); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing as events happen")
	cmd.Flags().IntVar(&limit, "limit", 100, "print at most the newest `N`, up to 2000")
	return cmd
}

func eventTable(list []api.Event) *table {
	t := &table{head: []string{"WHEN", "BY", "WHAT", "OBJECT", "MESSAGE"}}
	for _, e := range list {
		t.add(moment(e.At), e.By, e.Verb, e.Object, eventMessage(&e))
	}
	return t
}

func eventMessage(e *api.Event) string {
	if e.Reason == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.Reason)
}

func (a *app) printEvent(e *api.Event) error {
	if a.printer.machine() {
		return a.printer.line(e)
	}
	a.printer.printf("%s  %s  %s  %s  %s\n", moment(e.At), e.By, e.Verb, e.Object, eventMessage(e))
	return nil
}
