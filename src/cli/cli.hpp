// What main() of `vnvme` does.
#pragma once

namespace vnvme::cli {

enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kUnreachable = 3, kProblems = 4 };

int run(int argc, char** argv);

}  // namespace vnvme::cli
