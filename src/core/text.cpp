#include "core/text.hpp"

#include <cstdint>
#include <cstdio>

namespace vnvme {
namespace {

// Length of the well-formed sequence at the beginning of text; 0 when there is none. Code point to *out.
std::size_t sequence(std::string_view text, std::uint32_t* out = nullptr) {
  if (text.empty()) return 0;
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  std::size_t length = first < 0x80                    ? 1
                       : first >= 0xC2 && first < 0xE0 ? 2
                       : first >= 0xE0 && first < 0xF0 ? 3
                       : first >= 0xF0 && first < 0xF5 ? 4
                                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  std::uint32_t code = length == 1 ? first : first & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
  if (out != nullptr) *out = code;
  return length;
}

bool wide(std::uint32_t c) {
  return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
         (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
}
bool combining(std::uint32_t c) {
  return (c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0x20D0 && c <= 0x20FF) ||
         (c >= 0xFE00 && c <= 0xFE0F);
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    auto n = sequence(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string utf8_prefix(std::string_view text, std::size_t bytes) {
  std::size_t taken = 0;
  while (taken < text.size()) {
    auto n = sequence(text.substr(taken));
    if (n == 0 || taken + n > bytes) break;
    taken += n;
  }
  return std::string(text.substr(0, taken));
}

std::string printable(std::string_view text, std::size_t bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= bytes) return out + "...";
    auto n = sequence(text);
    auto c = static_cast<unsigned char>(text.front());
    if (n == 0 || (n == 1 && (c < 0x20 || c == 0x7F))) {
      char escaped[8];
      if (c == '\n')
        std::snprintf(escaped, sizeof escaped, "\\n");
      else if (c == '\t')
        std::snprintf(escaped, sizeof escaped, "\\t");
      else
        std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(c));
      out += escaped;
      n = 1;
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    auto at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::size_t display_width(std::string_view utf8) {
  std::size_t columns = 0;
  while (!utf8.empty()) {
    std::uint32_t code = 0;
    auto n = sequence(utf8, &code);
    if (n == 0) n = 1, code = '?';
    columns += combining(code) ? 0 : wide(code) ? 2 : 1;
    utf8.remove_prefix(n);
  }
  return columns;
}

}  // namespace vnvme
