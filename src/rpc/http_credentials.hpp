// User and password of an HTTP endpoint, from a file that only root may read.
#pragma once
#include <string>

#include "core/secret.hpp"

namespace vnvme::rpc {

inline constexpr std::size_t kCredentialBytes = 1024;

// One line "user:password" (printable ASCII, no space at either end), and nothing else, in a file as
// core/guarded_file.hpp wants it; its errors, and Errc::invalid_argument for another form. The result is a
// whole header line: "Authorization: Basic ...\r\n".
Result<Secret> read_basic_authorization(const std::string& path);

}  // namespace vnvme::rpc
