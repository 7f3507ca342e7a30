#include "cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "core/text.hpp"

namespace vnvme::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::size_t width_of_stdout() {
  std::size_t columns = 0;
  std::string_view text = environment("COLUMNS");
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), columns);
  if (error == std::errc{} && columns > 0) return columns;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return ::isatty(STDOUT_FILENO) != 0 ? 80 : 0;
}

bool speaks_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string_view value = environment(name);
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string_view::npos || value.find("utf8") != std::string_view::npos;
  }
  return false;
}

const char* code_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::dim:
      return "\x1b[2m";
    case Style::bold:
      return "\x1b[1m";
    case Style::good:
      return "\x1b[32m";
    case Style::warning:
      return "\x1b[33m";
    case Style::bad:
      return "\x1b[31m";
  }
  return "";
}

}  // namespace

Terminal look_at_stdout(When colour) {
  Terminal terminal;
  terminal.width = width_of_stdout();
  bool can = ::isatty(STDOUT_FILENO) != 0 && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  terminal.colour = colour == When::always || (colour == When::automatic && can);
  terminal.utf8 = speaks_utf8();
  return terminal;
}

std::string paint(const Terminal& terminal, Style style, std::string_view text) {
  if (!terminal.colour || style == Style::plain || text.empty()) return std::string(text);
  return code_of(style) + std::string(text) + "\x1b[0m";
}

std::string fit(const Terminal& terminal, std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  std::string_view ellipsis = terminal.utf8 ? "…" : "~";
  if (columns == 0) return "";
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    std::size_t n = 1;
    while (n < text.size() && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) ++n;
    std::size_t wide = display_width(text.substr(0, n));
    if (used + wide > columns - 1) break;
    out += text.substr(0, n);
    used += wide;
    text.remove_prefix(n);
  }
  return out + std::string(ellipsis);
}

std::string pad(std::string_view text, std::size_t columns, bool right) {
  std::size_t wide = display_width(text);
  std::string blanks(columns > wide ? columns - wide : 0, ' ');
  return right ? blanks + std::string(text) : std::string(text) + blanks;
}

std::string bar(const Terminal& terminal, double part, std::size_t columns) {
  part = std::clamp(std::isfinite(part) ? part : 0.0, 0.0, 1.0);
  auto full = static_cast<std::size_t>(std::lround(part * static_cast<double>(columns)));
  if (full == 0 && part > 0) full = 1;  // something is not nothing
  std::string out;
  for (std::size_t i = 0; i < columns; ++i) {
    if (terminal.utf8)
      out += i < full ? "█" : "░";
    else
      out += i < full ? "#" : ".";
  }
  return out;
}

std::string duration(std::uint64_t seconds) {
  struct Unit {
    std::uint64_t length;
    const char* name;
  };
  constexpr Unit units[] = {{86400, " d"}, {3600, " h"}, {60, " min"}, {1, " s"}};
  for (std::size_t i = 0; i < 3; ++i) {
    if (seconds < units[i].length) continue;
    std::uint64_t rest = seconds % units[i].length / units[i + 1].length;
    std::string out = std::to_string(seconds / units[i].length) + units[i].name;
    return rest == 0 ? out : out + " " + std::to_string(rest) + units[i + 1].name;
  }
  return std::to_string(seconds) + " s";
}

std::string clock_time(std::int64_t wall_ms) {
  std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  char text[32];
  if (::localtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
    return "?";
  return text;
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

}  // namespace vnvme::cli
