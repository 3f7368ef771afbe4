defmodule Drivelog.Application do
  @moduledoc "The log and the server that shows it; each is started anew if it dies."
  use Application

  @impl true
  def start(_type, _args) do
    children = [Drivelog.Log, {Task.Supervisor, name: Drivelog.Visitors}, {Drivelog.Server, 4000}]
    Supervisor.start_link(children, strategy: :one_for_one)
  end
end
