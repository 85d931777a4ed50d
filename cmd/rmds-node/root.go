package main

import "github.com/spf13/cobra"

func newRootCommand() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "rmds-node",
		Short: "Durable messages between edge boxes over plain NATS, handled by WebAssembly",
		Long: `rmds-node stores every outgoing message on disk and delivers it, in order, to every reader, through outages of days,
over plain NATS. Sandboxed WebAssembly handlers process what arrives, each message exactly once.

Exit codes: 0 ok, 1 failed, 2 usage, 3 bad configuration, 4 node not reachable.`,
		SilenceErrors: true, // execute prints them
		SilenceUsage:  true,
	})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef("%s: %w", cmd.CommandPath(), err) })
	root.AddCommand(
		newRunCommand(),
		newDemoCommand(),
		newDemoEdgeCommand(),
		newStatusCommand(),
		newSendCommand(),
		newRequestCommand(),
		newKVCommand(),
		newHandlerCommand(),
		newCompileCommand(),
		newConfigCommand(),
		newBenchCommand(),
		newBenchReceiverCommand(),
		newVersionCommand(),
	)
	return root
}

// addCompletion adds cobra's completion command, which keeps the output that root has at this moment.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			group(c) // without it an unknown shell would be no error
		}
	}
}
