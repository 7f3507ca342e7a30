// Files that hold a secret: who may own them, who may read them.
// What is in the file reaches no log, no error text and no std::string.
#pragma once
#include <cstddef>
#include <string>

#include "core/secret.hpp"

namespace vnvme {

// How such a file is called in error texts, and what it should hold.
struct GuardedFile {
  std::string what;    // "credentials file"
  std::string holds;   // "one line user:password"
  std::size_t most;    // bytes; a longer one is refused
  std::size_t room{};  // of the Secret, where its reader needs more than `most`
};

// The whole file. It must be a regular one, belong to root or to this process's user, and nobody else may
// read or write it: Errc::not_permitted with what is wrong and how to repair it. Errc::not_found when it is
// not there, Errc::invalid_argument when it is too long, Errc::io when it cannot be read.
Result<Secret> read_guarded_file(const std::string& path, const GuardedFile& about);

}  // namespace vnvme
