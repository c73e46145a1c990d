"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const canvas = $("diagram"), stage = $("stage"), ctx = canvas.getContext("2d");
  const GUTTER = 66, HEAD = 46, TAIL = 60, RIGHT = 150, GAP_MS = 200;
  const broken = data.violation;
  const view = {
    payment: broken && broken.payment !== null ? broken.payment : null,
    others: false, faults: true, zoom: 1, search: "", picked: -1, hovered: -1,
  };
  let shown = [], bands = [], rows = [], yOf = new Map(), height = 0, width = 0, colors = {}, labels = [];

  // ---- What is shown, and where.

  const isFocused = (line) => view.payment === null || line.of.includes(view.payment);
  const isHere = (line) =>
    (line.kind === "fault" ? view.faults : view.others || isFocused(line));
  const matches = (line) => view.search !== "" && line.text.toLowerCase().includes(view.search);

  /** Gives every moment at which something happens a row of its own. */
  function layout() {
    shown = data.lines.filter(isHere);
    const times = new Set([data.heal_ms]);
    for (const line of shown) if (line.kind !== "fault" || view.payment === null) { times.add(line.at); times.add(line.until); }
    if (broken) times.add(broken.at_ms);
    const first = view.payment === null || view.others ? 0 : Math.min(...times), last = Math.max(...times);
    shown = shown.filter((line) => line.at >= first && line.at <= last);
    // Faults that were over before the payment began, or came after it ended, are no part of its story.
    bands = view.faults ? data.bands.filter((band) => band.until >= first && band.at <= last) : [];
    for (const line of shown) times.add(line.at);
    for (const band of bands) for (const at of [band.at, band.until]) if (at >= first) times.add(at);
    const sorted = [...times].sort((a, b) => a - b);
    const dense = sorted.length > 700 ? 0.6 : 1;
    rows = []; yOf = new Map();
    let y = HEAD + 20, before = first;
    for (const at of sorted) {
      const gap = at - before, isCut = gap > GAP_MS;
      if (gap > 0) y += (isCut ? 38 : (13 + 0.16 * gap) * dense) * view.zoom;
      rows.push({ at, y, gap, isCut });
      yOf.set(at, y);
      if (broken && at === broken.at_ms) y += 30 + 17 * verdictLines().length;
      if (at === data.heal_ms) y += 22;
      before = at;
    }
    for (const band of bands) band.y1 = yOf.get(Math.max(band.at, first));
    for (const band of bands) band.y2 = Math.max(yOf.get(band.until), band.y1 + 4);
    slots();
    height = y + TAIL;
    stage.style.height = height + "px";
    placeLabels();
    draw();
  }

  const laneX = (n) => GUTTER + 34 + (width - GUTTER - 34 - RIGHT) * n / Math.max(1, data.lanes.length - 1);

  /** Faults of one host at one time stand side by side. */
  function slots() {
    const busy = data.lanes.map(() => []);
    for (const band of bands) {
      band.slots = band.lanes.map((n) => {
        let slot = busy[n].findIndex((until) => until <= band.y1);
        if (slot < 0) slot = busy[n].length;
        busy[n][slot] = band.y2;
        return slot;
      });
    }
  }

  const bandX = (band, k) => laneX(band.lanes[k]) + 3 + 8 * band.slots[k];

  /** Where a line begins and ends. What is lost ends on its way. */
  function ends(line) {
    const x1 = laneX(line.from), y1 = yOf.get(line.at);
    if (line.to === null) return [x1, y1, x1, y1];
    let x2 = laneX(line.to), y2 = yOf.get(line.until);
    if (line.kind === "lost") { x2 = x1 + (x2 - x1) * 0.4; y2 = y1 + 6; }
    return [x1, y1, x2, y2];
  }

  function colorOf(line) {
    const last = data.lanes.length - 1, touches = (n) => line.from === n || line.to === n;
    if (line.kind === "lost") return colors.lost;
    if (line.kind === "effect") return colors.effect;
    if (line.kind === "write") return colors.write;
    if (line.kind === "fault") return colors.fault;
    if (line.to === null) return colors.soft;
    return touches(last) ? colors.psp : touches(last - 1) ? colors.store : colors.client;
  }

  /** A text without what every line of a payment says. */
  function brief(line) {
    return line.text
      .replace(/\bhttps?:..psp\b/g, "")
      .replace(/^\/attempts\/pa_[0-9A-Z]+: /, "look: ")
      .replace(/^pa_[0-9A-Z]+: /, "")
      .replace(/pa_[0-9A-Z]+/g, "…")
      .replace(/: (POST|GET) \/(attempts\S*|charge)/, "")
      .replace(/\?reference=…/, "")
      .replace(/"\w+":\[\],?|"reference":"…",?/g, "")
      .replace(/: \{\}$/, ": nothing found")
      .replace(/^(.{46}).{3,}$/, "$1…");
  }

  const FONT = "11px system-ui, sans-serif", BOLD = "bold 12px system-ui, sans-serif";

  /** Labels where there is room, the weightiest first. */
  function placeLabels() {
    labels = [];
    const taken = new Map();
    const isFree = (box) => {
      for (let cell = Math.floor(box.y / 40) - 1; cell <= Math.floor(box.y / 40) + 1; cell++) {
        for (const other of taken.get(cell) || []) {
          if (box.x < other.x + other.w && other.x < box.x + box.w && box.y < other.y + other.h && other.y < box.y + box.h) return false;
        }
      }
      return true;
    };
    const take = (box) => {
      const cell = Math.floor(box.y / 40);
      if (!taken.has(cell)) taken.set(cell, []);
      taken.get(cell).push(box);
    };
    const put = (text, x, y, font, color, line) => {
      ctx.font = font;
      const w = ctx.measureText(text).width, box = { x, y: y - 10, w: w + 4, h: 13 };
      if (box.x < GUTTER + 2 && line && line.to !== null) box.x = GUTTER + 2;
      if (box.x < GUTTER || box.x + w > width - 4 || !isFree(box)) return false;
      take(box);
      labels.push({ text, x: box.x, y, w, font, color, line });
      return true;
    };
    const panel = broken ? verdictLines().length * 17 + 14 : 0;
    for (let y = 12; y < panel + 12; y += 13) take({ x: 0, y: yOf.get(broken.at_ms) + y, w: width, h: 13 });
    const weight = { effect: 0, lost: 1, fault: 2, write: 4, note: 3, message: 5 };
    for (const line of shown) {
      if (line.kind !== "effect" || !isFocused(line)) continue;
      const [x, y] = ends(line);
      ctx.font = BOLD;
      const w = ctx.measureText(brief(line)).width;
      for (const dy of [-8, 4, 17, -21]) if (put(brief(line), x - w - 16, y + dy, BOLD, colors.effect, line)) break;
    }
    for (const band of bands) {
      const k = band.lanes.indexOf(Math.max(...band.lanes)), x = bandX(band, k) + 10, y = band.y1 + 10;
      ctx.font = FONT;
      const w = ctx.measureText(band.text).width, left = laneX(band.lanes[k]) - w - 8;
      for (const dy of [0, 13, -13, 26]) if (put(band.text, x, y + dy, FONT, colors.faultText, null) || put(band.text, left, y + dy, FONT, colors.faultText, null)) break;
    }
    const rest = shown.filter((line) => line.kind !== "effect" && (isFocused(line) || line.kind === "lost"));
    rest.sort((a, b) => weight[a.kind] - weight[b.kind] || a.at - b.at);
    for (const line of rest) {
      const [x1, y1, x2, y2] = ends(line), text = brief(line);
      ctx.font = FONT;
      const w = ctx.measureText(text).width;
      if (line.to === null) {
        if (!put(text, x1 + 9, y1 + 4, FONT, colorOf(line), line)) put(text, x1 - w - 10, y1 + 4, FONT, colorOf(line), line);
        continue;
      }
      const color = line.kind === "lost" ? colors.lost : colors.ink;
      if (line.kind === "lost") { put(text, Math.max(x1, x2) + 8, y2 + 3, FONT, color, line); continue; }
      const at = (f) => [x1 + (x2 - x1) * f - w / 2, y1 + (y2 - y1) * f - 3];
      for (const f of [0.5, 0.35, 0.65, 0.2, 0.8]) if (put(text, ...at(f), FONT, color, line)) break;
    }
  }

  // ---- Drawing. Only what is in the window.

  function draw() {
    const ratio = window.devicePixelRatio || 1, box = stage.getBoundingClientRect();
    const high = Math.min(window.innerHeight - 43, Math.max(200, height));
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(high * ratio);
      canvas.style.height = high + "px";
    }
    const top = Math.max(0, Math.min(43 - box.top, height - high));
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = colors.paper;
    ctx.fillRect(0, 0, width, high);
    ctx.translate(0, -top);
    const isSeen = (y1, y2) => Math.max(y1, y2) > top - 30 && Math.min(y1, y2) < top + high + 30;
    drawRows(isSeen);
    for (const band of bands) drawBand(band, isSeen);
    for (let n = 0; n < data.lanes.length; n++) stroke(laneX(n), HEAD, laneX(n), height, colors.lane, 1.5);
    drawLate(isSeen);
    shown.forEach((line, n) => {
      const [x1, y1, x2, y2] = ends(line);
      if (isSeen(y1, y2)) drawLine(line, x1, y1, x2, y2, n);
    });
    drawMoments(isSeen);
    drawMarks(isSeen);
    for (const label of labels) if (isSeen(label.y, label.y)) drawLabel(label);
    ctx.translate(0, top);
    drawHeads();
  }

  function stroke(x1, y1, x2, y2, color, thick, dash) {
    ctx.strokeStyle = color; ctx.lineWidth = thick; ctx.setLineDash(dash || []);
    ctx.beginPath(); ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); ctx.stroke();
    ctx.setLineDash([]);
  }

  function words(text, x, y, font, color, align) {
    ctx.font = font; ctx.fillStyle = color; ctx.textAlign = align || "left";
    ctx.fillText(text, x, y);
    ctx.textAlign = "left";
  }

  function drawRows(isSeen) {
    let last = -99;
    for (const row of rows) {
      if (!isSeen(row.y, row.y)) { last = row.y; continue; }
      if (row.isCut) {
        const y = row.y - 22 * view.zoom;
        ctx.fillStyle = colors.panel; ctx.fillRect(GUTTER, y - 7, width, 14);
        words("· · ·  " + seconds(row.gap) + " later  · · ·", GUTTER + (width - GUTTER) / 2, y + 4, "italic " + FONT, colors.soft, "center");
      }
      const isBroken = broken && row.at === broken.at_ms;
      if (!isBroken && (row.y - last < 12 || broken && Math.abs(row.y - yOf.get(broken.at_ms)) < 12)) continue;
      last = row.y;
      words(String(row.at), GUTTER - 10, row.y + 4, isBroken ? BOLD : FONT, isBroken ? colors.broken : colors.soft, "right");
      stroke(GUTTER - 6, row.y, GUTTER, row.y, colors.lane, 1);
    }
  }

  const seconds = (ms) => (ms < 1000 ? ms + " ms" : (ms / 1000).toFixed(1) + " s");

  function drawBand(band, isSeen) {
    const { y1, y2 } = band;
    if (!isSeen(y1, y2) && !(isSeen(y1, y1 + 1e6) && isSeen(y2 - 1e6, y2))) return;
    band.lanes.forEach((_, k) => {
      const x = bandX(band, k);
      ctx.globalAlpha = 0.3; ctx.fillStyle = colors.fault;
      ctx.fillRect(x, y1, 7, y2 - y1);
      ctx.globalAlpha = 1;
      stroke(x - 1, y1, x + 8, y1, colors.fault, 2);
      stroke(x, y2, x + 7, y2, colors.fault, 1);
    });
  }

  function drawLine(line, x1, y1, x2, y2, n) {
    const isStrong = n === view.picked || n === view.hovered;
    const isFaint = view.search ? !matches(line) : line.kind !== "fault" && !isFocused(line);
    const color = colorOf(line);
    ctx.globalAlpha = isStrong ? 1 : isFaint ? 0.22 : 1;
    if (line.to === null) drawMark(line, x1, y1, color, isStrong);
    else {
      const isAnswer = line.to < line.from;
      stroke(x1, y1, x2, y2, color, isStrong ? 3.5 : 1.4, isAnswer && line.kind !== "lost" ? [6, 3] : null);
      if (line.kind === "lost") cross(x2, y2, color); else arrow(x1, y1, x2, y2, color);
    }
    ctx.globalAlpha = 1;
  }

  function drawMark(line, x, y, color, isStrong) {
    ctx.fillStyle = color; ctx.strokeStyle = color; ctx.lineWidth = 1.5;
    ctx.beginPath();
    if (line.kind === "effect") { const r = isStrong ? 10 : 8; ctx.moveTo(x, y - r); ctx.lineTo(x + r, y); ctx.lineTo(x, y + r); ctx.lineTo(x - r, y); ctx.closePath(); ctx.fill(); }
    else if (line.kind === "write") { const r = isStrong ? 5 : 3.5; ctx.rect(x - r, y - r, 2 * r, 2 * r); ctx.fill(); }
    else { ctx.arc(x, y, isStrong ? 5.5 : 4, 0, 7); ctx.fillStyle = colors.paper; ctx.fill(); ctx.stroke(); }
  }

  function cross(x, y, color) {
    stroke(x - 5, y - 5, x + 5, y + 5, color, 2.2);
    stroke(x - 5, y + 5, x + 5, y - 5, color, 2.2);
  }

  function arrow(x1, y1, x2, y2, color) {
    const angle = Math.atan2(y2 - y1, x2 - x1), r = 7;
    ctx.fillStyle = color; ctx.beginPath(); ctx.moveTo(x2, y2);
    ctx.lineTo(x2 - r * Math.cos(angle - 0.4), y2 - r * Math.sin(angle - 0.4));
    ctx.lineTo(x2 - r * Math.cos(angle + 0.4), y2 - r * Math.sin(angle + 0.4));
    ctx.fill();
  }

  function drawLabel(label) {
    const isHit = label.line && matches(label.line);
    ctx.globalAlpha = isHit ? 1 : 0.82; ctx.fillStyle = isHit ? colors.mark : colors.paper;
    ctx.fillRect(label.x - 2, label.y - 10, label.w + 4, 13);
    ctx.globalAlpha = view.search && label.line && !isHit ? 0.3 : 1;
    words(label.text, label.x, label.y, label.font, label.color);
    ctx.globalAlpha = 1;
  }

  /** From a request's arrival at the PSP to the moment at which it did something, where that was much later. */
  function drawLate(isSeen) {
    const x = laneX(data.lanes.length - 1);
    for (const money of data.ledger) {
      const y1 = yOf.get(money.arrived), y2 = yOf.get(money.at);
      if (!money.late || y1 === undefined || y2 === undefined || !isSeen(y1, y2)) continue;
      ctx.globalAlpha = view.payment === null || money.of === view.payment ? 1 : 0.25;
      ctx.strokeStyle = colors.effect; ctx.lineWidth = 2; ctx.setLineDash([2, 4]);
      ctx.beginPath(); ctx.moveTo(x, y1); ctx.bezierCurveTo(x - 34, y1, x - 34, y2, x - 8, y2); ctx.stroke();
      ctx.setLineDash([]); ctx.globalAlpha = 1;
    }
  }

  /** Rings around the money that a broken promise is about. */
  function drawMarks(isSeen) {
    if (!broken) return;
    for (const line of shown) {
      if (line.kind !== "effect" || line.at !== broken.at_ms || !line.of.includes(broken.payment)) continue;
      const [x, y] = ends(line);
      if (!isSeen(y, y)) continue;
      ctx.strokeStyle = colors.broken; ctx.lineWidth = 3; ctx.beginPath(); ctx.arc(x, y, 14, 0, 7); ctx.stroke();
    }
  }

  function verdictLines() {
    ctx.font = BOLD;
    const text = "Broken here: " + broken.message, lines = [];
    let line = "";
    for (const word of text.split(" ")) {
      if (line && ctx.measureText(line + " " + word).width > width - GUTTER - 30) { lines.push(line); line = word; }
      else line = line ? line + " " + word : word;
    }
    return [...lines, line];
  }

  function drawMoments(isSeen) {
    const heal = yOf.get(data.heal_ms);
    if (isSeen(heal, heal + 30)) {
      stroke(GUTTER, heal, width, heal, colors.heal, 1.6, [8, 5]);
      words("faults end; healing begins", GUTTER + 6, heal + 14, BOLD, colors.heal);
    }
    if (!broken) return;
    const y = yOf.get(broken.at_ms), lines = verdictLines();
    if (!isSeen(y, y + 120)) return;
    stroke(GUTTER - 6, y, width, y, colors.broken, 2);
    ctx.fillStyle = colors.brokenPaper; ctx.fillRect(GUTTER, y + 12, width - GUTTER, 17 * lines.length + 10);
    ctx.fillStyle = colors.broken; ctx.fillRect(GUTTER, y + 12, 4, 17 * lines.length + 10);
    lines.forEach((line, n) => words(line, GUTTER + 12, y + 29 + 17 * n, BOLD, colors.broken));
  }

  function drawHeads() {
    ctx.fillStyle = colors.panel; ctx.fillRect(0, 0, width, HEAD - 4);
    stroke(0, HEAD - 4, width, HEAD - 4, colors.rule, 1);
    words("ms", GUTTER - 10, 26, FONT, colors.soft, "right");
    data.lanes.forEach((lane, n) => {
      words(lane.name, laneX(n), 18, BOLD, colors.ink, "center");
      words(lane.about, laneX(n), 33, FONT, colors.soft, "center");
    });
  }

  // ---- Choosing.

  function nearest(x, y) {
    let best = -1, least = 8;
    shown.forEach((line, n) => {
      const [x1, y1, x2, y2] = ends(line);
      const dx = x2 - x1, dy = y2 - y1, long = dx * dx + dy * dy;
      const f = long ? Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / long)) : 0;
      let away = Math.hypot(x - x1 - f * dx, y - y1 - f * dy);
      if (line.to === null) away -= 4;
      if (!isFocused(line)) away += 2;
      if (away < least) { least = away; best = n; }
    });
    if (best >= 0) return best;
    const label = labels.find((l) => l.line && x >= l.x && x <= l.x + l.w && y <= l.y + 3 && y >= l.y - 10);
    return label ? shown.indexOf(label.line) : -1;
  }

  function bandAt(x, y) {
    return bands.filter((b) => y >= b.y1 && y <= b.y2 && b.lanes.some((_, k) => x >= bandX(b, k) - 1 && x <= bandX(b, k) + 8));
  }

  function tell(line) {
    const way = line.to === null ? data.lanes[line.from].name : data.lanes[line.from].name + " → " + data.lanes[line.to].name;
    const when = line.until === line.at ? line.at + " ms" : line.at + "–" + line.until + " ms (" + (line.until - line.at) + " ms)";
    const end = line.kind === "lost" ? ", never arrives" : line.kind === "write" ? ", durable" : line.kind === "effect" ? ", money" : "";
    return [line.text, way + ", " + when + end];
  }

  function select(n, isScrolled) {
    view.picked = n;
    const box = $("selected");
    box.textContent = "";
    if (n < 0) { box.append(small("Hover or click a line; or focus the diagram and use ↓ ↑.")); draw(); return; }
    const [text, where] = tell(shown[n]);
    box.append(text, document.createElement("br"), small(where));
    if (isScrolled) scrollTo(yOf.get(shown[n].at));
    draw();
  }

  function small(text) { const e = document.createElement("small"); e.textContent = text; return e; }

  function scrollTo(y) {
    const top = stage.getBoundingClientRect().top + window.scrollY;
    window.scrollTo(0, Math.max(0, top + y - window.innerHeight * 0.45));
    draw();
  }

  function point(event) {
    const box = canvas.getBoundingClientRect(), stageTop = stage.getBoundingClientRect().top;
    return [event.clientX - box.left, event.clientY - stageTop, event.clientY - box.top];
  }

  canvas.addEventListener("mousemove", (event) => {
    const [x, y, inCanvas] = point(event), tip = $("tip");
    const n = inCanvas < HEAD ? -1 : nearest(x, y);
    if (n !== view.hovered) { view.hovered = n; draw(); }
    const said = n >= 0 ? tell(shown[n]).join("  ·  ") : bandAt(x, y).map((b) => "Fault: " + b.text + " (" + b.at + "–" + b.until + " ms)").join("; ");
    tip.hidden = !said;
    canvas.style.cursor = n >= 0 ? "pointer" : "default";
    if (!said) return;
    tip.textContent = said;
    tip.style.left = Math.min(event.clientX + 14, window.innerWidth - 460) + "px";
    tip.style.top = Math.min(event.clientY + 16, window.innerHeight - 90) + "px";
  });
  canvas.addEventListener("mouseleave", () => { $("tip").hidden = true; view.hovered = -1; draw(); });
  canvas.addEventListener("click", (event) => { const [x, y] = point(event); select(nearest(x, y), false); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !shown.length) return;
    event.preventDefault();
    let n = view.picked;
    do n += step; while (n >= 0 && n < shown.length && !isFocused(shown[n]));
    if (n >= 0 && n < shown.length) select(n, true);
  });

  // ---- Tables.

  function cell(row, text, kind) { const td = document.createElement("td"); td.textContent = text; if (kind) td.className = kind; row.append(td); return td; }

  function table(id, heads, items, fill) {
    const all = $(id);
    all.textContent = "";
    const head = all.createTHead().insertRow();
    for (const [text, kind] of heads) { const th = document.createElement("th"); th.textContent = text; th.className = kind || ""; head.append(th); }
    const body = all.createTBody();
    for (const item of items) {
      const row = body.insertRow(), at = item.ended === undefined ? item.at : item.ended;
      fill(row, item);
      row.tabIndex = 0;
      row.title = "Go there";
      const go = () => { if (yOf.has(at)) { scrollTo(yOf.get(at)); select(shown.findIndex((l) => l.at === at && isFocused(l) && (item.operation ? l.kind === "effect" : l.from < 2)), false); } };
      row.addEventListener("click", go);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
    }
    if (!items.length) cell(body.insertRow(), "none").colSpan = heads.length;
  }

  function tables() {
    const mine = (item) => view.payment === null || item.of === view.payment;
    const who = data.payments.find((p) => p.number === view.payment);
    $("whose").textContent = who ? "Payment " + who.number : "All payments";
    $("about").textContent = who ? who.about + " — " + who.id : data.payments.length + " payments; choose one above.";
    table("ledger", [["ms", "n"], ["operation"], ["amount", "n"], ["key"]], data.ledger.filter(mine), (row, money) => {
      cell(row, money.at, "n");
      const what = cell(row, money.operation + (view.payment === null && money.of !== null ? " p" + money.of : ""));
      if (money.late) {
        const b = document.createElement("b");
        b.className = "late"; b.textContent = " late";
        what.append(b);
        if (money.arrived !== null) what.append(small("asked at " + money.arrived + " ms, " + (money.at - money.arrived) + " ms before"));
      }
      if (money.declined) { what.append(small("refused: " + money.declined)); row.className = "no"; }
      what.append(small(money.id));
      cell(row, money.amount + " " + money.currency, "n");
      cell(row, money.key ? money.key.replace(/pa_[0-9A-Z]+/, "…") : "—").title = money.key || "";
      if (broken && money.of === broken.payment && money.at === broken.at_ms) row.className = "bad";
    });
    const told = data.told.filter(mine);
    table("told", [["ms", "n"], ["asked"], ["told"]], told.slice(0, 400), (row, answer) => {
      cell(row, answer.began + "–" + answer.ended, "n");
      const asked = cell(row, answer.asked + (view.payment === null ? " p" + answer.of : ""));
      if (answer.role) asked.append(small(answer.role));
      cell(row, answer.told);
      if (answer.told === "gave up waiting") row.className = "no";
      if (broken && answer.of === broken.payment && answer.ended === broken.at_ms) row.className = "bad";
    });
  }

  // ---- Controls.

  function refresh() {
    $("others").disabled = view.payment === null;
    view.hovered = -1;
    layout();
    tables();
    select(-1, false);
    find();
  }

  function find() {
    const hits = view.search ? shown.filter(matches).length : 0;
    $("found").textContent = view.search ? hits + " found" : shown.length + " lines";
  }

  function nextMatch() {
    for (let k = 1; k <= shown.length; k++) {
      const n = (view.picked + k + shown.length) % shown.length;
      if (matches(shown[n])) { select(n, true); return; }
    }
  }

  function zoom(by) {
    const high = window.innerHeight / 2 - stage.getBoundingClientRect().top;
    const row = rows.reduce((a, b) => (Math.abs(b.y - high) < Math.abs(a.y - high) ? b : a));
    view.zoom = Math.max(0.4, Math.min(6, view.zoom * by));
    const picked = view.picked;
    layout();
    select(picked, false);
    scrollTo(yOf.get(row.at));
  }

  function toMoment() { if (broken) scrollTo(yOf.get(broken.at_ms)); }

  function fillPayments() {
    const add = (value, text) => { const o = document.createElement("option"); o.value = value; o.textContent = text; $("payment").append(o); };
    add("", "all payments");
    for (const p of data.payments) add(p.number, "payment " + p.number + (broken && broken.payment === p.number ? " (broken)" : "") + ": " + p.about.split(";")[0]);
    $("payment").value = view.payment === null ? "" : view.payment;
  }

  function readColors() {
    const style = getComputedStyle(document.documentElement), read = (name) => style.getPropertyValue(name).trim();
    for (const name of ["paper", "ink", "soft", "rule", "panel", "lane", "client", "psp", "store", "lost", "write", "effect", "fault", "broken", "heal", "mark"]) colors[name] = read("--" + name);
    colors.faultText = read("--fault-text");
    colors.brokenPaper = read("--broken-paper");
  }

  function measure() { width = stage.clientWidth - 1; readColors(); layout(); }

  $("payment").addEventListener("change", (e) => { view.payment = e.target.value === "" ? null : Number(e.target.value); refresh(); });
  $("others").addEventListener("change", (e) => { view.others = e.target.checked; refresh(); });
  $("faults").addEventListener("change", (e) => { view.faults = e.target.checked; refresh(); });
  $("search").addEventListener("input", (e) => { view.search = e.target.value.trim().toLowerCase(); find(); draw(); });
  $("search").addEventListener("keydown", (e) => { if (e.key === "Enter") nextMatch(); });
  $("in").addEventListener("click", () => zoom(1.4));
  $("out").addEventListener("click", () => zoom(1 / 1.4));
  $("verdict").addEventListener("click", toMoment);
  $("verdict").hidden = !broken;
  $("copy").addEventListener("click", async () => {
    $("command").select();
    try { await navigator.clipboard.writeText($("command").value); } catch { document.execCommand("copy"); }
    $("copy").textContent = "Copied";
    setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { document.activeElement.blur(); select(-1, false); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT/.test(event.target.tagName) && event.target.type !== "checkbox") return;
    const act = {
      "/": () => $("search").focus(), v: toMoment, "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4),
      a: () => { if (!$("others").disabled) $("others").click(); },
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  window.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  window.addEventListener("resize", measure);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", measure);

  // A link can say what to show: #all, #payment=3, #moment.
  const wish = decodeURIComponent(location.hash.slice(1));
  if (wish === "all") { view.others = true; $("others").checked = true; }
  if (/^payment=\d+$/.test(wish)) view.payment = Number(wish.slice(8));
  fillPayments();
  measure();
  refresh();
  if (wish === "moment") toMoment();
})();
