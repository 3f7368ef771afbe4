defmodule Drivelog.MixProject do
  use Mix.Project

  def project do
    [
      app: :drivelog,
      version: System.fetch_env!("CONTAINER_APP_VERSION") |> String.trim_leading("v"),
      elixir: "~> 1.14",
      releases: [drivelog: [include_executables_for: [:unix]]]
    ]
  end

  def application, do: [mod: {Drivelog.Application, []}]
end
