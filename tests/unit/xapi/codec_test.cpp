// HTTP, JSON-RPC, records, batches: pure, from text.
#include "xapi/codec.hpp"

#include <gtest/gtest.h>

#include "core/json.hpp"
#include "support/fake_xapi_records.hpp"
#include "xapi/decode.hpp"
#include "xapi/http.hpp"

namespace vnvme::xapi {
namespace {

std::string answer_text(const std::string& body, const std::string& head = "HTTP/1.1 200 OK") {
  return head + "\r\nconnection: close\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\ncontent-type: application/json\r\n\r\n" + body;
}

Result<std::string> read_whole(const std::string& bytes, std::size_t piece,
                               ResponseReader::Limits limits = {}) {
  ResponseReader reader(limits);
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    VNVME_TRY(reader.feed(std::string_view(bytes).substr(at, piece)));
  if (!reader.done()) VNVME_TRY(reader.end());
  return body_of(reader);
}

TEST(Http, RequestNamesItsLength) {
  auto text = post_request("/jsonrpc", "{}");
  EXPECT_TRUE(text.starts_with("POST /jsonrpc HTTP/1.1\r\n"));
  EXPECT_NE(text.find("Content-Length: 2\r\n"), std::string::npos);
  EXPECT_NE(text.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n{}"));
}

TEST(Http, AnswersInAnyPieces) {
  auto bytes = answer_text(R"({"result":"x"})");
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
    EXPECT_EQ(read_whole(bytes, piece), R"({"result":"x"})") << piece;
  auto chunked = std::string("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  for (std::size_t piece = 1; piece <= chunked.size(); ++piece) EXPECT_EQ(read_whole(chunked, piece), "abc");
  EXPECT_EQ(read_whole("HTTP/1.0 200 OK\r\n\r\nuntil the end", 5), "until the end");
}

TEST(Http, EveryCutIsAnErrorWithUnknownOutcome) {
  auto bytes = answer_text(R"({"result":"x"})");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    auto got = read_whole(bytes.substr(0, cut), 7);
    ASSERT_FALSE(got) << cut;
    EXPECT_EQ(got.error().outcome, Outcome::unknown);
  }
}

TEST(Http, RefusesWhatIsTooLongOrNotHttp) {
  ResponseReader::Limits small{.header = 256, .body = 100};
  EXPECT_TRUE(read_whole(answer_text(std::string(100, 'x')), 33, small));
  EXPECT_FALSE(read_whole(answer_text(std::string(101, 'x')), 33, small));
  EXPECT_FALSE(read_whole("HTTP/1.0 200 OK\r\n\r\n" + std::string(101, 'x'), 33, small));
  EXPECT_FALSE(read_whole("HTTP/1.1 200 OK\r\na: " + std::string(300, 'x') + "\r\n\r\n", 33, small));
  EXPECT_FALSE(read_whole("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", 33));
  EXPECT_FALSE(read_whole("\x01\xFFnonsense\r\n\r\n", 3));
  EXPECT_FALSE(read_whole(answer_text("x") + "more", 1000));
}

TEST(Http, OtherStatusesAreErrors) {
  auto broken = read_whole(answer_text("<html>", "HTTP/1.1 500 Internal Error"), 1000);
  EXPECT_EQ(broken.error().outcome, Outcome::unknown);
  EXPECT_EQ(broken.error().native, 500);
  auto missing = read_whole(answer_text("<html>", "HTTP/1.1 404 Not Found"), 1000);
  EXPECT_EQ(missing.error().outcome, Outcome::not_done);
}

TEST(Codec, CallsKeepFloatsFloats) {
  Json params = Json::array();
  params.push_back("s");
  params.push_back(30.0);
  params.push_back(3);
  EXPECT_EQ(call_text("event.from", params, 7),
            R"({"id":7,"jsonrpc":"2.0","method":"event.from","params":["s",30.0,3]})");
}

TEST(Codec, ReadsResults) {
  auto answer = Answer::parse(R"( {"jsonrpc":"2.0", "result": {"a":[1,"}"]} ,"id":3} )", 3);
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->result(), R"({"a":[1,"}"]})");
  EXPECT_FALSE(answer->failure());
  // the short string of a moved answer must not move its result away
  auto moved = Answer::parse(R"({"result":"","id":3})", 3);
  auto other = std::move(*moved);
  EXPECT_EQ(other.result(), "\"\"");
}

TEST(Codec, ReadsFailures) {
  auto answer = Answer::parse(
      R"({"jsonrpc":"2.0","error":{"code":1,"message":"MAP_DUPLICATE_KEY","data":["VM","other_config","r","k"]},"id":3})",
      3);
  ASSERT_TRUE(answer);
  ASSERT_TRUE(answer->failure());
  EXPECT_EQ(answer->failure()->code, "MAP_DUPLICATE_KEY");
  EXPECT_EQ(answer->failure()->params.at(3), "k");
  // one bare string instead of an array, and no data at all
  auto bare = Answer::parse(R"({"error":{"code":1,"message":"HANDLE_INVALID","data":"r"},"id":3})", 3);
  EXPECT_EQ(bare->failure()->params, std::vector<std::string>{"r"});
  // what XAPI says before it has read the id
  EXPECT_TRUE(Answer::parse(R"({"error":{"code":1,"message":"HOST_STILL_BOOTING"},"id":0})", 3)->failure());
}

TEST(Codec, RefusesWhatIsNoAnswer) {
  for (const char* text : {"", "{}", "[]", "null", "<value>", R"({"result":1})", R"({"result":1,"id":4})",
                           R"({"id":3})", R"({"result":1,"error":{"message":"X"},"id":3})",
                           R"({"error":{},"id":3})", R"({"error":{"message":7},"id":3})",
                           R"({"error":17,"id":3})", R"({"result":1,"id":3}})", R"({"result":[1,"id":3})"}) {
    auto answer = Answer::parse(text, 3);
    ASSERT_FALSE(answer) << text;
    EXPECT_EQ(answer.error().code, Errc::protocol) << text;
    EXPECT_EQ(answer.error().outcome, Outcome::unknown) << text;
  }
}

TEST(Codec, DepthIsBounded) {
  std::string deep = R"({"id":3,"result":)" + std::string(10'000, '[') + std::string(10'000, ']') + "}";
  EXPECT_FALSE(Answer::parse(deep, 3));
}

TEST(Codec, FailuresAreClassified) {
  auto of = [](const std::string& code) { return error_of(Failure{code, {"p"}}, "VM.start"); };
  EXPECT_EQ(of("HANDLE_INVALID").code, Errc::not_found);
  EXPECT_EQ(of("HOST_STILL_BOOTING").code, Errc::unreachable);
  EXPECT_EQ(of("HOST_STILL_BOOTING").outcome, Outcome::not_done);
  EXPECT_EQ(of("CANNOT_CONTACT_HOST").outcome, Outcome::unknown);
  EXPECT_EQ(of("INTERNAL_ERROR").outcome, Outcome::unknown);
  EXPECT_EQ(of("SR_BACKEND_FAILURE_46").code, Errc::io);
  EXPECT_EQ(of("EVENTS_LOST").code, Errc::conflict);
  EXPECT_EQ(of("OPERATION_BLOCKED").code, Errc::not_permitted);
  EXPECT_EQ(of("OPERATION_BLOCKED").outcome, Outcome::not_done);
  EXPECT_NE(of("OPERATION_BLOCKED").text.find("VM.start: OPERATION_BLOCKED, p"), std::string::npos);
  EXPECT_EQ(error_of(Failure{"SESSION_INVALID", {"OpaqueRef:secret"}}, "m").text.find("secret"),
            std::string::npos);
  auto nasty = error_of(Failure{"X", {std::string(2000, 'y') + "\n\x1b[31m"}}, "m");
  EXPECT_LT(nasty.text.size(), 600u);
  EXPECT_EQ(nasty.text.find('\x1b'), std::string::npos);
}

Result<Record> decode(Class cls, const Json& record) {
  return decode_record(cls, Ref("OpaqueRef:r"), dump_json(record));
}
const Class kAll[] = {Class::vm, Class::vbd, Class::vdi, Class::sr, Class::pbd, Class::host, Class::pool};

TEST(Decode, EveryClassWithItsFields) {
  for (auto cls : kAll) {
    auto record = decode(cls, test::default_record(std::string(to_string(cls)), 5));
    ASSERT_TRUE(record) << record.error().describe();
    EXPECT_EQ(class_of(*record), cls);
    EXPECT_EQ(ref_of(*record).str(), "OpaqueRef:r");
  }
  auto vm = test::default_record("VM", 5);
  vm["other_config"] = {{"pci", "0/0000:01:00.0"}, {"x\n\"", "\u00e9"}};
  vm["VBDs"] = {"OpaqueRef:1", "OpaqueRef:2"};
  vm["domid"] = "17";  // as XML-RPC has it
  vm["power_state"] = "Running";
  auto record = decode(Class::vm, vm);
  const auto& got = std::get<Vm>(*record);
  EXPECT_EQ(got.other_config.at("x\n\""), "\u00e9");
  EXPECT_EQ(got.VBDs.size(), 2u);
  EXPECT_EQ(got.domid, 17);
  EXPECT_EQ(got.power_state, PowerState::running);
  EXPECT_EQ(got.memory_static_max, 4294967296);
}

// Each member in turn is missing, null, or of a wrong type. What matters must be there; what is not used may
// be anything, also what OCaml writes and JSON does not have.
TEST(Decode, StrictOnWhatMatters) {
  std::size_t refused = 0;
  for (auto cls : kAll) {
    auto whole = test::default_record(std::string(to_string(cls)), 5);
    for (auto it = whole.begin(); it != whole.end(); ++it) {
      for (const char* wrong : {"", "null", "17.5", "[[]]", "{\"a\":1}", "[1]"}) {
        auto spoilt = whole;
        spoilt.erase(it.key());
        auto text = dump_json(spoilt);
        if (*wrong != '\0')
          text = "{\"" + it.key() + "\":" + wrong + (text == "{}" ? "" : ",") + text.substr(1);
        auto record = decode_record(cls, Ref("r"), text);
        const bool unused = it.key() == "HVM_shadow_multiplier" || it.key() == "snapshot_time" ||
                            (cls == Class::pool && it.key() == "name_label");
        const bool optional =
            *wrong == '\0' && (it.key() == "domain_type" || it.key() == "is_default_template" ||
                               it.key() == "software_version" || it.key() == "chipset_info");
        EXPECT_EQ(record.has_value(), unused || optional)
            << to_string(cls) << "." << it.key() << "=" << wrong;
        if (record) continue;
        ++refused;
        EXPECT_EQ(record.error().code, Errc::corrupt);
        EXPECT_NE(record.error().text.find(it.key()), std::string::npos) << record.error().text;
      }
    }
  }
  EXPECT_GT(refused, 300u);
  auto text = dump_json(test::default_record("VM", 5));
  text.insert(1, R"("HVM_shadow_multiplier":Infinity,"x":-NaN,)");
  EXPECT_TRUE(decode_record(Class::vm, Ref("r"), text));
  EXPECT_FALSE(decode_record(Class::vm, Ref("r"), text.substr(0, text.size() / 2)));
}

TEST(Decode, NullReferencesHaveOneForm) {
  auto vbd = test::default_record("VBD", 5);
  for (const char* null : {"OpaqueRef:NULL", "", "NULL", "Ref:123"}) {
    vbd["VDI"] = null;
    EXPECT_TRUE(std::get<Vbd>(*decode(Class::vbd, vbd)).VDI.empty()) << null;
  }
  vbd["VDI"] = std::string(10'000, 'x');
  EXPECT_FALSE(decode(Class::vbd, vbd));
}

TEST(Decode, NumbersAreWithinInt64) {
  auto vdi = test::default_record("VDI", 5);
  vdi["virtual_size"] = INT64_MAX;
  EXPECT_EQ(std::get<Vdi>(*decode(Class::vdi, vdi)).virtual_size, INT64_MAX);
  for (Json wrong : {Json(UINT64_MAX), Json("12x"), Json(""), Json(1e300), Json(" 1 2")}) {
    vdi["virtual_size"] = wrong;
    EXPECT_FALSE(decode(Class::vdi, vdi)) << wrong;
  }
}

std::string batch_text(const Json& events, const Json& counts, const std::string& token = "00012,0") {
  return dump_json(Json{{"events", events}, {"valid_ref_counts", counts}, {"token", token}});
}
Json event(const char* operation, const char* ref, const char* cls = "vm") {
  Json out{{"class", cls}, {"operation", operation}, {"ref", ref}, {"id", "12"}, {"timestamp", "0.0"}};
  if (std::string(operation) != "del") out["snapshot"] = test::default_record("VM", 5);
  return out;
}

TEST(Decode, ABatch) {
  auto events = Json::array({event("add", "OpaqueRef:a"), event("mod", "OpaqueRef:b", "VM"),
                             event("del", "OpaqueRef:c"), event("add", "OpaqueRef:d", "task")});
  auto batch = decode_batch(batch_text(events, {{"vm", 2}, {"task", 1}, {"VBD", 0}}), 9);
  ASSERT_TRUE(batch) << batch.error().describe();
  ASSERT_EQ(batch->events.size(), 3u);
  EXPECT_EQ(batch->events[0].operation, Event::Operation::added);
  EXPECT_TRUE(batch->events[1].record);
  EXPECT_EQ(batch->events[2].operation, Event::Operation::removed);
  EXPECT_EQ(batch->events[2].id, 12);
  EXPECT_EQ(batch->counts, (std::map<Class, std::uint64_t>{{Class::vm, 2}, {Class::vbd, 0}}));
  EXPECT_EQ(batch->cursor.token, "00012,0");
  EXPECT_EQ(batch->cursor.session, 9u);
}

TEST(Decode, ABatchInSteps) {
  auto events = Json::array();
  for (const char* ref : {"a", "b", "c", "d", "e"}) events.push_back(event("add", ref));
  auto text = batch_text(events, {{"vm", 5}});
  auto decoder = BatchDecoder::open(text, 9);
  ASSERT_TRUE(decoder);
  for (int steps = 0; steps < 3; ++steps) {
    EXPECT_FALSE(decoder->done());
    ASSERT_TRUE(decoder->step(2));
  }
  EXPECT_TRUE(decoder->done());
  ASSERT_TRUE(decoder->step(2));
  auto batch = decoder->take();
  EXPECT_EQ(batch.events.size(), 5u);
  EXPECT_EQ(batch.events[4].ref.str(), "e");
  EXPECT_EQ(batch.cursor.session, 9u);
  // what is wrong in the middle stops the step that meets it
  events[3]["operation"] = "?";
  text = batch_text(events, {{"vm", 5}});
  decoder = BatchDecoder::open(text, 9);
  ASSERT_TRUE(decoder->step(2));
  EXPECT_FALSE(decoder->step(2));
}

TEST(Decode, ARecordThatCannotBeReadDoesNotSpoilTheBatch) {
  auto broken = event("mod", "OpaqueRef:a");
  broken["snapshot"].erase("uuid");
  auto bare = event("add", "OpaqueRef:b");
  bare.erase("snapshot");
  auto batch = decode_batch(batch_text(Json::array({broken, bare}), {{"vm", 2}}), 1);
  ASSERT_TRUE(batch);
  EXPECT_FALSE(batch->events[0].record);
  EXPECT_NE(batch->events[0].unreadable.find("uuid"), std::string::npos);
  EXPECT_FALSE(batch->events[1].record);
}

TEST(Decode, ABatchThatMakesNoSenseIsRefused) {
  auto good = Json::array({event("add", "OpaqueRef:a")});
  EXPECT_TRUE(decode_batch(batch_text(good, Json::object()), 1));
  EXPECT_FALSE(decode_batch(batch_text(good, Json::object(), ""), 1));
  EXPECT_FALSE(decode_batch(batch_text(good, Json::object(), std::string(1000, '1')), 1));
  EXPECT_FALSE(decode_batch(batch_text(good, {{"vm", -1}}), 1));
  EXPECT_FALSE(decode_batch(batch_text(good, Json::array()), 1));
  EXPECT_FALSE(decode_batch(batch_text(17, Json::object()), 1));
  EXPECT_FALSE(decode_batch("{}", 1));
  for (const char* key : {"class", "operation", "ref", "id"}) {
    for (Json wrong : {Json(), Json(Json::array()), Json(""), Json("?")}) {
      auto spoilt = event("add", "OpaqueRef:a");
      spoilt[key] = wrong;
      auto batch = decode_batch(batch_text(Json::array({spoilt}), Json::object()), 1);
      const bool foreign = std::string(key) == "class" && wrong.is_string();
      const bool odd_ref = std::string(key) == "ref" && wrong == "?";
      EXPECT_EQ(batch.has_value(), foreign || odd_ref) << key << wrong;
    }
  }
}

TEST(Decode, ListsOfRecords) {
  Json all{{"OpaqueRef:a", test::default_record("VDI", 1)}, {"OpaqueRef:b", test::default_record("VDI", 2)}};
  auto records = decode_records(Class::vdi, dump_json(all));
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(ref_of((*records)[1]).str(), "OpaqueRef:b");
  all["OpaqueRef:b"].erase("SR");
  EXPECT_FALSE(decode_records(Class::vdi, dump_json(all)));
  EXPECT_FALSE(decode_records(Class::vdi, "[]"));
}

}  // namespace
}  // namespace vnvme::xapi
