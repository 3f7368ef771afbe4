document.getElementById("version").textContent = "__VERSION__";

const songs = await (await fetch("api/songs")).json();
for (const song of songs) {
  const item = document.createElement("li");
  item.textContent = song;
  item.onclick = () => {
    const player = document.getElementById("player");
    player.src = `stream/${song.split("/").map(encodeURIComponent).join("/")}`;
    player.play();
  };
  document.getElementById("songs").append(item);
}
