#include "rpc/http_credentials.hpp"

#include <algorithm>

#include "core/guarded_file.hpp"

namespace vnvme::rpc {
namespace {

constexpr std::string_view kField = "Authorization: Basic ";
constexpr std::string_view kLineEnd = "\r\n";

constexpr std::size_t encoded(std::size_t bytes) {
  return (bytes + 2) / 3 * 4;
}

// How long the "user:password" at its beginning is, without the end of the line.
Result<std::size_t> only_line(const std::string& path, std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  // The text never holds a byte of the file.
  auto bad = [&path](const std::string& why) {
    return fail(Errc::invalid_argument,
                "credentials file " + path + ": " + why + "; accepted: one line user:password");
  };
  if (text.empty()) return bad("is empty");
  if (text.find('\n') != std::string_view::npos) return bad("has more than one line");
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7E; }))
    return bad("has a byte that is not printable ASCII");
  if (text.front() == ' ' || text.back() == ' ') return bad("begins or ends with a space");
  auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return bad("names no user before a \":\"");
  return text.size();
}

// In the pages where it was read, so that no others ever hold it: from the end, because what is written
// always lies behind what is still to be read.
void encode_in_place(Secret& secret, std::size_t bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  auto room = secret.room();
  std::fill_n(room.begin() + static_cast<std::ptrdiff_t>(bytes), 2, '\0');
  for (std::size_t group = (bytes + 2) / 3; group-- > 0;) {
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | static_cast<unsigned char>(room[3 * group + k]);
    for (std::size_t k = 0; k < 4; ++k)
      room[kField.size() + 4 * group + k] = kDigits[bits >> (18 - 6 * k) & 63];
  }
  const auto end = kField.size() + encoded(bytes);
  const auto padding = (3 - bytes % 3) % 3;
  std::fill_n(room.begin() + static_cast<std::ptrdiff_t>(end - padding), padding, '=');
  std::copy(kField.begin(), kField.end(), room.begin());
  secret.set_size(end);
  secret.append(kLineEnd);
}

}  // namespace

Result<Secret> read_basic_authorization(const std::string& path) {
  auto secret =
      read_guarded_file(path, {.what = "credentials file",
                               .holds = "one line user:password",
                               .most = kCredentialBytes,
                               .room = kField.size() + encoded(kCredentialBytes) + kLineEnd.size()});
  if (!secret) return secret;
  auto length = only_line(path, secret->view());
  if (!length) return fail(std::move(length.error()));
  encode_in_place(*secret, *length);
  return secret;
}

}  // namespace vnvme::rpc
