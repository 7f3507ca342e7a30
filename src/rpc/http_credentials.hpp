// User and password of an HTTP endpoint, from a file that only root may read.
// What is in the file reaches no log, no error text and no std::string.
#pragma once
#include <string>

#include "core/secret.hpp"

namespace vnvme::rpc {

inline constexpr std::size_t kCredentialBytes = 1024;

// One line "user:password" (printable ASCII, no space at either end), and nothing else. The file must belong
// to root or to this process's user, and nobody else may read or write it: Errc::not_permitted with what is
// wrong and how to repair it. The result is a whole header line: "Authorization: Basic ...\r\n".
Result<Secret> read_basic_authorization(const std::string& path);

}  // namespace vnvme::rpc
