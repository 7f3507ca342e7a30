// Replays a corpus without a fuzzer: every entry as it is, cut short, and with seeded mutations, so that each
// build of each compiler runs them. Of .jsonl and .txt files each line is an entry, of others the whole file.
// VNVME_SEEDS: mutations an entry.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

namespace fs = std::filesystem;

void add_file(const fs::path& path, std::vector<std::string>& entries) {
  std::ifstream file(path, std::ios::binary);
  if (path.extension() == ".jsonl" || path.extension() == ".txt") {
    for (std::string line; std::getline(file, line);) entries.push_back(line);
    return;
  }
  entries.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

std::vector<std::string> read_corpus(int count, char** paths) {
  std::vector<fs::path> files;
  for (int i = 1; i < count; ++i)
    for (const auto& entry : fs::recursive_directory_iterator(paths[i]))
      if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());  // the same mutations wherever it runs
  std::vector<std::string> entries;
  for (const auto& file : files) add_file(file, entries);
  return entries;
}

// The input that runs now, for the handler: a crash must be repeatable with libFuzzer or here.
const std::string* running = nullptr;

extern "C" void keep_crash(int signal) {
  if (running != nullptr) {
    static constexpr char name[] = "fuzz-crash.bin";
    if (FILE* file = std::fopen(name, "wb")) {
      std::fwrite(running->data(), 1, running->size(), file);
      std::fclose(file);
      std::fprintf(stderr, "the input is kept in %s\n", name);
    }
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string& input) {
  running = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  running = nullptr;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& entries) : entries_(entries) {}
  std::string mutate(std::string text) {
    for (std::size_t n = 1 + below(4); n > 0; --n) once(text);
    return text;
  }
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

 private:
  void once(std::string& text) {
    static constexpr char telling[] = "{}[]\",:\\/=-0\n\0\xff\xc3 .";
    const std::size_t at = below(text.size() + 1),
                      length = below(std::min<std::size_t>(text.size() - at, 64) + 1);
    switch (below(7)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      case 3:
        text.insert(at, 1, telling[below(sizeof telling)]);
        break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 5:
        if (at < text.size()) text[at] = telling[below(sizeof telling)];
        break;
      default:
        splice(text, at);
    }
  }
  void splice(std::string& text, std::size_t at) {
    const auto& other = entries_[below(entries_.size())];
    const std::size_t from = below(other.size() + 1);
    text.replace(at, below(text.size() - at + 1), other, from, below(other.size() - from + 1));
  }
  const std::vector<std::string>& entries_;
  std::mt19937_64 random_{20231};
};

std::size_t mutations() {
  const char* wanted = ::getenv("VNVME_SEEDS");
  std::size_t n = 0;
  if (wanted == nullptr) return 100;
  auto end = std::from_chars(wanted, wanted + std::strlen(wanted), n).ptr;
  return *end == '\0' ? n : 100;
}

}  // namespace

int main(int argc, char** argv) {
  const auto entries = read_corpus(argc, argv);
  if (entries.empty()) {
    std::fprintf(stderr, "no corpus\n");
    return 2;
  }
  for (int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS}) std::signal(signal, keep_crash);
  const std::size_t most = mutations();
  std::size_t runs = 0;
  Mutator mutator(entries);
  for (const auto& entry : entries) {
    run(entry);
    const std::size_t step = entry.size() / 50 + 1;
    for (std::size_t size = 0; size < entry.size(); size += step, ++runs) run(entry.substr(0, size));
    for (std::size_t i = 0; i < most; ++i, ++runs) run(mutator.mutate(entry));
    ++runs;
  }
  std::printf("%zu entries, %zu runs\n", entries.size(), runs);
  return 0;
}
