/* keywords.c - see keywords.h. */
#include "fits/keywords.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* Names that are not the user's to give. At the end '#' stands for digits (at least one) and
 * perhaps a letter, '@' for perhaps a letter (alternate coordinates have one), '*' for anything. */
static const char *const taken_names[] = {
    /* mandatory and structural */
    "SIMPLE",
    "BITPIX",
    "NAXIS",
    "NAXIS#",
    "EXTEND",
    "END",
    "XTENSION",
    "PCOUNT",
    "GCOUNT",
    "GROUPS",
    "TFIELDS",
    "BLOCKED",
    "INHERIT",
    "EXTNAME",
    "EXTVER",
    "EXTLEVEL",
    "CHECKSUM",
    "DATASUM",
    "COMMENT",
    "HISTORY",
    "CONTINUE",
    "HIERARCH",
    "LONGSTRN",
    "BSCALE",
    "BZERO",
    "BUNIT",
    "BLANK",
    "DATAMAX",
    "DATAMIN",
    "PTYPE#",
    "PSCAL#",
    "PZERO#",
    /* tables and compressed images */
    "TTYPE#",
    "TFORM#",
    "TUNIT#",
    "TSCAL#",
    "TZERO#",
    "TNULL#",
    "TDISP#",
    "TDIM#",
    "TBCOL#",
    "THEAP",
    "TDMIN#",
    "TDMAX#",
    "TLMIN#",
    "TLMAX#",
    "ZIMAGE",
    "ZTABLE",
    "ZCMPTYPE",
    "ZBITPIX",
    "ZNAXIS",
    "ZNAXIS#",
    "ZTILE#",
    "ZNAME#",
    "ZVAL#",
    "ZQUANTIZ",
    "ZDITHER#",
    "ZBLANK",
    "ZSCALE",
    "ZZERO",
    "ZMASKCMP",
    "ZSIMPLE",
    "ZTENSION",
    "ZEXTEND",
    "ZPCOUNT",
    "ZGCOUNT",
    "ZHECKSUM",
    "ZDATASUM",
    "ZTHEAP",
    "ZFORM#",
    "ZCTYP#",
    "ZTILELEN",
    /* coordinates, spectra and time */
    "WCSAXES@",
    "WCSNAME@",
    "CTYPE#",
    "CNAME#",
    "CUNIT#",
    "CRPIX#",
    "CRVAL#",
    "CDELT#",
    "CROTA#",
    "CRDER#",
    "CSYER#",
    "CPDIS#",
    "CQDIS#",
    "CPERR#",
    "CQERR#",
    "DP#",
    "DQ#",
    "D2IM*",
    "DVERR@",
    "A_*",
    "B_*",
    "AP_*",
    "BP_*",
    "EQUINOX@",
    "EPOCH",
    "RADESYS@",
    "RADECSYS",
    "LONPOLE@",
    "LATPOLE@",
    "RESTFR*",
    "RESTWAV@",
    "SPECSYS@",
    "SSYS*",
    "VEL*",
    "ZSOURCE@",
    "OBSGEO*",
    "DATE*",
    "MJD*",
    "JD*",
    "TIME*",
    "TREF*",
    "TSTART",
    "TSTOP",
    "TELAPSE",
    "XPOSURE",
    "PLEPHEM",
    "TIMSYER",
    "TIMRDER",
    "JEPOCH",
    "BEPOCH",
    "OBSORBIT",
    "PHASE*",
    "CZPHS#",
    "CPERI#",
    /* bibliographic */
    "ORIGIN",
    "TELESCOP",
    "INSTRUME",
    "OBSERVER",
    "OBJECT",
    "AUTHOR",
    "REFERENC",
    "PROGRAM",
    "CREATOR",
    /* the recording's own */
    "RECVERS",
    "RECHOST",
    "RECUUID",
    "RECSTAT",
    "SHMNAME",
    "SHMTYPE",
    "SHMSIZ#",
    "FIFOSIZE",
    "FILESEQ",
    "FRAME#",
    "CNT0BEG",
    "CNT0END",
    "PREVFILE",
    "NEXTFILE",
    "NFRAMES",
    "FPS",
    "NLOST",
    "NGAPS",
    "NTORN",
    "SESLOST",
    "ENDCAUSE",
    "FLG#",
    /* existing extraction tools take a primary with this one for a single frame */
    "ATIME",
};

static bool name_matches(const char *name, const char *pattern)
{
    size_t stem = strcspn(pattern, "#@*"), digits;
    const char *rest = name + stem;

    if (strncmp(name, pattern, stem) != 0)
        return false;
    switch (pattern[stem]) {
    case '\0':
        return *rest == '\0';
    case '*':
        return true;
    case '#':
        digits = strspn(rest, "0123456789");
        if (digits == 0)
            return false;
        rest += digits;
        break;
    default:
        break;
    }
    return *rest == '\0' || (isupper((unsigned char)*rest) && rest[1] == '\0');
}

/* PCi_j, CDi_j, PVi_m, PSi_m, with or without an alternate letter: coordinates all of them. */
static bool is_matrix_name(const char *name)
{
    return (strncmp(name, "PC", 2) == 0 || strncmp(name, "CD", 2) == 0 ||
            strncmp(name, "PV", 2) == 0 || strncmp(name, "PS", 2) == 0) &&
           isdigit((unsigned char)name[2]) && strchr(name, '_') != NULL;
}

void fits_keyword_clean(char *dst, const char *src, unsigned count)
{
    unsigned n = 0;

    for (; n < count && src[n] != '\0'; n++)
        dst[n] = src[n] >= ' ' && src[n] <= '~' ? src[n] : '?';
    while (n > 0 && dst[n - 1] == ' ')
        n--;
    dst[n] = '\0';
}

bool fits_keyword_is_taken(const char *name)
{
    for (size_t i = 0; i < sizeof taken_names / sizeof taken_names[0]; i++)
        if (name_matches(name, taken_names[i]))
            return true;
    return is_matrix_name(name);
}

bool fits_keyword_is_card(const IMAGE_KEYWORD *keyword)
{
    char name[sizeof keyword->name + 1];
    size_t length;

    fits_keyword_clean(name, keyword->name, sizeof keyword->name);
    length = strlen(name);
    if (length < 1 || length > 8 ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != length)
        return false;
    if (fits_keyword_is_taken(name))
        return false;
    return keyword->type == 'L' || keyword->type == 'S' ||
           (keyword->type == 'D' && isfinite(keyword->value.numf));
}

static void put_text(unsigned char *dst, const char *src, unsigned count)
{
    char clean[128];

    fits_keyword_clean(clean, src, count);
    memset(dst, 0, count); /* strings in tables end with NUL where they are short */
    memcpy(dst, clean, strlen(clean));
}

void fits_keyword_pack(unsigned char dst[FITS_SHMKW_ROW_BYTES], const IMAGE_KEYWORD *keyword)
{
    uint64_t lval = 0, dval = 0;

    if (keyword->type == 'L')
        lval = __builtin_bswap64((uint64_t)keyword->value.numl);
    if (keyword->type == 'D') {
        memcpy(&dval, &keyword->value.numf, 8);
        dval = __builtin_bswap64(dval);
    }
    put_text(dst, keyword->name, 16);
    put_text(dst + 16, &keyword->type, 1);
    memcpy(dst + 17, &lval, 8);
    memcpy(dst + 25, &dval, 8);
    put_text(dst + 33, keyword->type == 'S' ? keyword->value.valstr : "", 16);
    put_text(dst + 49, keyword->comment, 80);
}

/* A text of a table ends with NUL where it is short; so does one of a segment. */
static void get_text(char *dst, const unsigned char *src, unsigned count)
{
    size_t length = strnlen((const char *)src, count);

    memset(dst, 0, count);
    memcpy(dst, src, length);
}

void fits_keyword_unpack(IMAGE_KEYWORD *ret, const unsigned char src[FITS_SHMKW_ROW_BYTES])
{
    uint64_t value;

    memset(ret, 0, sizeof *ret);
    get_text(ret->name, src, 16);
    ret->type = (char)src[16];
    switch (ret->type) {
    case 'L':
        memcpy(&value, src + 17, 8);
        ret->value.numl = (int64_t)__builtin_bswap64(value);
        break;
    case 'D':
        memcpy(&value, src + 25, 8);
        value = __builtin_bswap64(value);
        memcpy(&ret->value.numf, &value, 8);
        break;
    case 'S':
        get_text(ret->value.valstr, src + 33, 16);
        break;
    default:
        ret->type = 'N';
        break;
    }
    get_text(ret->comment, src + 49, 80);
}
