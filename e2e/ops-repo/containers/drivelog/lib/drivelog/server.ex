defmodule Drivelog.Server do
  @moduledoc "Answers GET / with what was driven, and takes a drive as POST /drives/<kilometres>."
  use Task, restart: :permanent

  def start_link(port), do: Task.start_link(__MODULE__, :listen, [port])

  def listen(port) do
    {:ok, socket} = :gen_tcp.listen(port, [:binary, packet: :http_bin, active: false, reuseaddr: true])
    accept(socket)
  end

  defp accept(socket) do
    {:ok, visitor} = :gen_tcp.accept(socket)
    {:ok, task} = Task.Supervisor.start_child(Drivelog.Visitors, fn -> serve(visitor) end)
    :gen_tcp.controlling_process(visitor, task)
    accept(socket)
  end

  defp serve(visitor) do
    with {:ok, {:http_request, method, {:abs_path, path}, _}} <- :gen_tcp.recv(visitor, 0, 5_000),
         :ok <- skip_headers(visitor) do
      {status, text} = answer(method, path)
      length = byte_size(text)
      :gen_tcp.send(visitor, "HTTP/1.1 #{status}\r\nContent-Type: text/plain\r\nContent-Length: #{length}\r\nConnection: close\r\n\r\n#{text}")
    end

    :gen_tcp.close(visitor)
  end

  defp skip_headers(visitor) do
    case :gen_tcp.recv(visitor, 0, 5_000) do
      {:ok, {:http_header, _, _, _, _}} -> skip_headers(visitor)
      {:ok, :http_eoh} -> :ok
      other -> other
    end
  end

  defp answer(:GET, "/") do
    {drives, kilometres} = Drivelog.Log.total()
    version = Application.spec(:drivelog, :vsn)
    {"200 OK", "drivelog #{version}, Elixir #{System.version()}, OTP #{System.otp_release()}: #{drives} drives, #{kilometres} km\n"}
  end

  defp answer(:POST, "/drives/" <> kilometres) do
    case Integer.parse(kilometres) do
      {number, ""} when number > 0 ->
        Drivelog.Log.add(number)
        {"201 Created", "noted\n"}

      _ ->
        {"400 Bad Request", "a drive is a number of kilometres\n"}
    end
  end

  defp answer(_, _), do: {"404 Not Found", "GET / or POST /drives/<kilometres>\n"}
end
