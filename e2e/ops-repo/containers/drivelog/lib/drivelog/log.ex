defmodule Drivelog.Log do
  @moduledoc "The drives of a car, in kilometres."
  use Agent

  def start_link(_), do: Agent.start_link(fn -> [] end, name: __MODULE__)

  def add(kilometres), do: Agent.update(__MODULE__, &[kilometres | &1])

  def total, do: Agent.get(__MODULE__, &{length(&1), Enum.sum(&1)})
end
