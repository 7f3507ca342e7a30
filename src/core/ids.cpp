#include "vnvme/ids.hpp"

#include <sys/random.h>

#include <array>
#include <cstdlib>

namespace vnvme {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool dash_at(std::size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

}  // namespace

std::optional<std::string> parse_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < 36; ++i) {
    if (dash_at(i)) {
      if (text[i] != '-') return std::nullopt;
      out += '-';
      continue;
    }
    int v = hex_value(text[i]);
    if (v < 0) return std::nullopt;
    out += kHex[static_cast<std::size_t>(v)];
  }
  return out;
}

std::string random_uuid() {
  std::array<unsigned char, 16> raw{};
  // 16 bytes after boot never come short nor fail on Linux; without them nothing here is safe.
  if (getrandom(raw.data(), raw.size(), 0) != static_cast<ssize_t>(raw.size())) std::abort();
  raw[6] = static_cast<unsigned char>((raw[6] & 0x0f) | 0x40);
  raw[8] = static_cast<unsigned char>((raw[8] & 0x3f) | 0x80);
  std::string hex;
  for (unsigned char b : raw) {
    hex += kHex[b >> 4];
    hex += kHex[b & 15];
  }
  return *uuid_from_hex(hex);
}

std::string uuid_hex(std::string_view uuid) {
  auto canonical = parse_uuid(uuid);
  if (!canonical) return {};
  std::string out;
  for (char c : *canonical)
    if (c != '-') out += c;
  return out;
}

std::optional<std::string> uuid_from_hex(std::string_view hex) {
  if (hex.size() != 32) return std::nullopt;
  std::string out;
  for (char c : hex) {
    if (dash_at(out.size())) out += '-';
    out += c;
  }
  return parse_uuid(out);
}

}  // namespace vnvme
