/*
 * mixed_reader.cpp - reads frames as it is told to, through Dao::Shm; mixed.h has the commands.
 * Only keywords, which the class has no methods for, go through dao.h. One thread.
 */
#include <map>
#include <memory>
#include <sstream>

#include "lib/daoShm.hpp"
#include "tests/support/mixed.h"

/* The segment, whatever its type; strings are answers. */
class Source
{
  public:
    virtual ~Source() = default;
    virtual std::string describe() const = 0;
    virtual std::string next(bool wait) = 0;
    virtual std::string newest() = 0;
    virtual std::string follow(uint64_t frames) = 0;
    virtual bool look_back(uint64_t last, uint64_t frames) = 0;
    virtual bool is_in_slot(uint64_t slot, uint64_t cnt0) = 0;
    virtual int check() = 0;
    virtual void print_metadata(uint64_t slot) const = 0;
};

template <typename T> class SourceOf : public Source
{
  public:
    explicit SourceOf(const std::string &path) : shm_(path)
    {
    }

    std::string describe() const override
    {
        const Dao::Shape &shape = shm_.get_shape();

        return std::string(ramp_types[Dao::detail::element_code<T>].name) + " " +
               std::to_string(depth()) + " " + std::to_string(shape.at(0)) + " " +
               std::to_string(shape.at(1));
    }

    std::string next(bool wait) override
    {
        int_fast8_t status = DAO_ERROR;
        uint64_t cnt0 = 0;
        const T *frame = shm_.get_next_frame(wait, status, cnt0);

        return std::to_string(status) + (frame ? ":" + verdict(frame, cnt0) : "");
    }

    std::string newest() override
    {
        const T *frame = shm_.get_frame();

        return verdict(frame, shm_.get_counter());
    }

    std::string follow(uint64_t frames) override
    {
        uint64_t first = 0, last = 0, in_order = 0, wrong = 0, overwritten = 0;
        std::ostringstream answer;

        for (uint64_t i = 0; i < frames; i++) {
            int_fast8_t status = DAO_ERROR;
            uint64_t cnt0 = 0;
            const T *frame = shm_.get_next_frame(true, status, cnt0);

            overwritten += status == DAO_OVERWRITE;
            wrong += !is_right(frame, cnt0) || shm_.check_segment_overwrite() != DAO_SUCCESS;
            in_order += i == 0 || cnt0 == last + 1;
            first = i == 0 ? cnt0 : first;
            last = cnt0;
        }
        answer << first << " " << last << " " << in_order << " " << wrong << " " << overwritten;
        return answer.str();
    }

    bool look_back(uint64_t last, uint64_t frames) override
    {
        const uint64_t head = shm_.get_meta_data(0)->fifo_last_written;
        uint64_t right = 0;

        for (uint64_t back = 0; back < frames; back++)
            right += is_in_slot(head + depth() - back, last - back);
        return right == frames && shm_.get_counter() == last;
    }

    bool is_in_slot(uint64_t slot, uint64_t cnt0) override
    {
        return shm_.get_counter(slot) == cnt0 && is_right(shm_.get_arbitrary_frame(slot), cnt0);
    }

    int check() override
    {
        return shm_.check_segment_overwrite();
    }

    void print_metadata(uint64_t slot) const override
    {
        mixed_print_metadata(shm_.get_meta_data(slot), shm_.get_meta_data(0));
        fflush(stdout);
    }

  private:
    uint32_t depth() const
    {
        return shm_.get_meta_data(0)->fifo_size;
    }

    bool is_right(const T *frame, uint64_t cnt0) const
    {
        return mixed_is_ramp(frame, Dao::detail::element_code<T>, shm_.get_element_count(), cnt0);
    }

    std::string verdict(const T *frame, uint64_t cnt0) const
    {
        return std::to_string(cnt0) + ":" + mixed_verdict(is_right(frame, cnt0));
    }

    Dao::Shm<T> shm_;
};

template <typename T> static std::unique_ptr<Source> open_as(const std::string &path)
{
    return std::make_unique<SourceOf<T>>(path);
}

/* The type is found by trying: the class refuses every other one. */
static std::unique_ptr<Source> open(const std::string &path)
{
    static const decltype(&open_as<float>) openers[] = {
        open_as<uint8_t>,  open_as<int8_t>,  open_as<uint16_t>,      open_as<int16_t>,
        open_as<uint32_t>, open_as<int32_t>, open_as<uint64_t>,      open_as<int64_t>,
        open_as<float>,    open_as<double>,  open_as<complex_float>, open_as<complex_double>,
    };

    for (const auto opener : openers)
        try {
            return opener(path);
        } catch (const std::runtime_error &) {
        }
    throw std::runtime_error("no segment: " + path);
}

static std::string print_keywords(const std::string &path)
{
    IMAGE image;

    if (daoShmShm2ImgReadOnly(path.c_str(), &image) != DAO_SUCCESS)
        throw std::runtime_error("no segment: " + path);
    mixed_print_keywords(&image);
    fflush(stdout);
    daoShmCloseShm(&image);
    return "";
}

static std::string next_frames(Source &source, uint64_t frames)
{
    std::string answer;

    while (frames-- > 0)
        answer += (answer.empty() ? "" : " ") + source.next(true);
    return answer;
}

/* The answer; empty where it has been printed. */
static std::string obey(Source &source, const std::string &word, std::istream &words)
{
    uint64_t a = 0, b = 0;

    words >> a >> b;
    if (word == "next")
        return next_frames(source, a);
    if (word == "ready")
        return source.next(false);
    if (word == "newest")
        return source.newest();
    if (word == "follow")
        return source.follow(a);
    if (word == "history")
        return mixed_verdict(source.look_back(a, b));
    if (word == "slot")
        return mixed_verdict(source.is_in_slot(a, b));
    if (word == "check")
        return std::to_string(source.check());
    if (word != "meta")
        throw std::runtime_error("no command: " + word);
    source.print_metadata(a);
    return "";
}

int main()
{
    std::unique_ptr<Source> source;
    std::string line, word, path, answer;

    while (std::getline(std::cin, line)) {
        std::istringstream words(line);

        words >> word;
        answer = "ok";
        if (word == "open" && words >> path) {
            source = open(path);
            answer = source->describe();
        } else if (word == "close") {
            source.reset();
        } else if (word == "keywords") {
            answer = print_keywords(path);
        } else {
            answer = obey(*source, word, words);
        }
        if (!answer.empty())
            std::cout << answer << std::endl;
    }
}
