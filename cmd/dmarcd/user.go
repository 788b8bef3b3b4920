package main

import (
	"errors"

	"github.com/spf13/cobra"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
	"dmarcd/internal/client"
	"dmarcd/internal/present"
)

func userCommand(s present.Streams) *cobra.Command {
	c := group("user", "The users of the console: add, change a password, list, remove",
		userAddCommand(s), userPasswordCommand(s), userListCommand(s), userRemoveCommand(s))
	c.Long = `The users who may log in to the console. While there is none, the console answers on
loopback alone, and is for reading.

A password is asked for on a terminal; otherwise it is the first line of standard input.`
	return c
}

func userAddCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: `Add a user of the console. An admin may look and change, a viewer may look; with --domain a
viewer sees these domains alone.

Exit code 0: added; 2: the name is taken, or something is wrong with it, the password or
a domain; 3: the store cannot be asked.`,
		Example: `  dmarcd user add aiko --role admin
  dmarcd user add support --role viewer --domain example.org --domain example.net < password.txt`,
		Args: arguments(1, 1, "name the user"),
	}
	t := targetFlags(c)
	f := c.Flags()
	role := f.String("role", "", "admin or viewer")
	domains := f.StringArray("domain", nil, "a domain that a viewer may see; all of them without")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *role != string(account.RoleAdmin) && *role != string(account.RoleViewer) {
			return usageError(errors.New("--role: expected admin or viewer"))
		}
		return client.WithPassword(c.Context(), t, s, func(conn api.Asker, password string) error {
			u, err := api.UsersAdd().Ask(c.Context(), conn, api.AddUserRequest{Name: args[0], Password: password, Role: account.Role(*role), Domains: *domains})
			if err != nil {
				return err
			}
			s.Line("%s may log in as %s.", u.Name, u.Role)
			return nil
		})
	}
	return c
}

func userPasswordCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give a user another password, and end their sessions",
		Long: `Give a user another password. Their sessions end; their API tokens stay good.

Exit code 0: changed; 1: there is no such user; 2: the password will not do.`,
		Example: "  dmarcd user passwd aiko",
		Args:    arguments(1, 1, "name the user"),
	}
	t := targetFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return client.WithPassword(c.Context(), t, s, func(conn api.Asker, password string) error {
			if _, err := api.UsersPassword().Ask(c.Context(), conn, api.PasswordRequest{Name: args[0], Password: password}); err != nil {
				return err
			}
			s.Line("%s has another password, and has to log in again.", args[0])
			return nil
		})
	}
	return c
}

func userListCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the users of the console",
		Long:    "List the users of the console, by name.\n\nExit code 0: listed, if there is any; 3: the store cannot be read.",
		Example: "  dmarcd user list\n  dmarcd user list --json | jq -r .name",
		Args:    noArguments(),
	}
	t, p := targetFlags(c), pageFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		conn, err := client.Connect(c.Context(), t, s)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // opened for reading only
		return present.EachPage(p, s, func(after string, limit int) ([]api.ConsoleUser, string, error) {
			page, err := api.UsersList().Ask(c.Context(), conn, api.UsersRequest{After: after, Limit: limit})
			return page.Users, page.After, err
		}, func(u *api.ConsoleUser) { present.User(s, u) })
	}
	return c
}

func userRemoveCommand(s present.Streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a user, and end their sessions and tokens",
		Long:    "Remove a user of the console with their sessions and API tokens.\n\nExit code 0: removed; 1: there is no such user.",
		Example: "  dmarcd user remove aiko",
		Args:    arguments(1, 1, "name the user"),
	}
	t := targetFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		conn, err := client.Connect(c.Context(), t, s)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // what was done is done
		if _, err := api.UsersRemove().Ask(c.Context(), conn, api.UserRequest{Name: args[0]}); err != nil {
			return err
		}
		s.Line("%s is removed.", args[0])
		return nil
	}
	return c
}
